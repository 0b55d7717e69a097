/* Compiled filters on disk; see seccomp_cache.h. */
#include "runtime/seccomp_cache.h"

#include "wherry/cleanup.h"
#include "wherry/file.h"
#include "wherry/sha256.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf_common.h>
#include <seccomp.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>

/* Changed with whatever changes the meaning of a file: the form, or how profiles are compiled. */
#define FORM "wherry seccomp 3"

struct header {
    char form[24];
    uint32_t flags;
    uint32_t length;                    /* instructions */
    uint8_t digest[WHERRY_SHA256_SIZE]; /* of the instructions */
};

void seccomp_cache_name(const char *profile, size_t length, char name[SECCOMP_CACHE_NAME_SIZE])
{
    const struct scmp_version *version = seccomp_version();
    struct utsname host;
    struct wherry_sha256 sha;
    uint8_t digest[WHERRY_SHA256_SIZE];
    char text[256];
    int used;

    memset(&host, 0, sizeof(host));
    (void)uname(&host);
    used = snprintf(text, sizeof(text), FORM "\n%s\n%s\n%u.%u.%u\n", host.release, host.machine,
                    version != NULL ? version->major : 0, version != NULL ? version->minor : 0,
                    version != NULL ? version->micro : 0);
    wherry_sha256_init(&sha);
    wherry_sha256_update(&sha, text, used < (int)sizeof(text) ? (size_t)used : sizeof(text) - 1);
    wherry_sha256_update(&sha, profile, length);
    wherry_sha256_final(&sha, digest);
    wherry_sha256_text(digest, name);
    strcpy(name + WHERRY_SHA256_TEXT_SIZE - 1, ".bpf");
}

static bool is_ours(const struct stat *status)
{
    return status->st_uid == geteuid() && (status->st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

int seccomp_cache_open(const char *directory, struct wherry_error *err)
{
    cleanup_close int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    struct stat status;

    if (fd < 0 && errno == ENOENT) {
        if (mkdir(directory, 0700) < 0 && errno != EEXIST)
            return wherry_error_set(err, errno, "make %s", directory);
        fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    }
    if (fd < 0 || fstat(fd, &status) < 0)
        return wherry_error_set(err, errno, "open %s", directory);
    if (!is_ours(&status))
        return wherry_error_set(err, EPERM, "%s: belongs to another user, or others may write it", directory);
    return wherry_steal_fd(&fd);
}

static void digest_filter(const struct sock_filter *filter, size_t length, uint8_t digest[WHERRY_SHA256_SIZE])
{
    struct wherry_sha256 sha;

    wherry_sha256_init(&sha);
    wherry_sha256_update(&sha, filter, length * sizeof(*filter));
    wherry_sha256_final(&sha, digest);
}

bool seccomp_cache_load(int directory, const char *name, struct wherry_seccomp *out)
{
    cleanup_close int fd = openat(directory, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    cleanup_free struct sock_filter *filter = NULL;
    uint8_t digest[WHERRY_SHA256_SIZE];
    struct header header;
    struct stat status;
    size_t size;

    if (fd < 0 || fstat(fd, &status) < 0 || !S_ISREG(status.st_mode) || !is_ours(&status))
        return false;
    if (read(fd, &header, sizeof(header)) != (ssize_t)sizeof(header) ||
        strncmp(header.form, FORM, sizeof(header.form)) != 0 || header.length == 0 || header.length > BPF_MAXINSNS)
        return false;
    size = header.length * sizeof(*filter);
    filter = malloc(size);
    if (filter == NULL || read(fd, filter, size) != (ssize_t)size)
        return false;
    digest_filter(filter, header.length, digest);
    if (memcmp(digest, header.digest, sizeof(digest)) != 0)
        return false;
    *out = (struct wherry_seccomp){
        .filter = wherry_steal_pointer(&filter), .length = (unsigned short)header.length, .flags = header.flags};
    return true;
}

void seccomp_cache_store(int directory, const char *name, const struct wherry_seccomp *filter)
{
    size_t size = sizeof(struct header) + filter->length * sizeof(*filter->filter);
    cleanup_free char *content = calloc(1, size);
    struct header header = {.form = FORM, .flags = filter->flags, .length = filter->length};

    if (content == NULL)
        return;
    digest_filter(filter->filter, filter->length, header.digest);
    memcpy(content, &header, sizeof(header));
    memcpy(content + sizeof(header), filter->filter, size - sizeof(header));
    (void)wherry_file_replace(directory, name, content, size, 0600, NULL);
}
