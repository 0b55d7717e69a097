/* What becomes of a created container when it is started; see start_report.h. */
#include "start_report.h"

#include "wherry/cleanup.h"
#include "wherry/container.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

int wherry_start_report_make(int directory, struct wherry_start_report **report, struct wherry_error *err)
{
    cleanup_close int fd =
        openat(directory, WHERRY_CONTAINER_START_REPORT, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    void *mapped;

    if (fd < 0 || ftruncate(fd, sizeof(**report)) < 0)
        return wherry_error_set(err, errno, "make %s", WHERRY_CONTAINER_START_REPORT);
    mapped = mmap(NULL, sizeof(**report), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (mapped == MAP_FAILED)
        return wherry_error_set(err, errno, "map %s", WHERRY_CONTAINER_START_REPORT);
    *report = mapped;
    return 0;
}

int wherry_start_report_read(int directory, struct wherry_error *err)
{
    cleanup_close int fd = openat(directory, WHERRY_CONTAINER_START_REPORT, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    struct wherry_start_report report;

    if (fd < 0 || read(fd, &report, sizeof(report)) != (ssize_t)sizeof(report))
        return wherry_error_set(err, fd < 0 ? errno : EIO, "read %s", WHERRY_CONTAINER_START_REPORT);
    report.message[sizeof(report.message) - 1] = '\0';
    if (report.message[0] != '\0')
        return wherry_error_set(err, 0, "%s", report.message);
    return report.executing ? 0 : wherry_error_set(err, 0, "the container's process ended while it was being started");
}

void wherry_start_report_executing(struct wherry_start_report *report)
{
    if (report != NULL)
        report->executing = 1;
}

void wherry_start_report_failure(struct wherry_start_report *report, const struct wherry_error *err)
{
    if (report != NULL)
        memcpy(report->message, err->message, sizeof(report->message));
}
