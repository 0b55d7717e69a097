/* The record of a container, state.json, as it lies on disk: read, shown, and written again. Needs root. */
#include "place.h"
#include "wherry/cleanup.h"
#include "wherry/container.h"
#include "wherry/json.h"

#include <fcntl.h>
#include <stdint.h>
#include <sys/stat.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    place_make("size=64m");
    must(mkdir(PLACE "/id", 0700) == 0, "make the directory");
    return 0;
}

static void write_record(const uint8_t *data, size_t size)
{
    cleanup_close int fd = open(PLACE "/id/state.json", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    must(fd >= 0 && write(fd, data, size) == (ssize_t)size, "write the record");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wherry_error err = WHERRY_ERROR_INIT;
    struct wherry_container container;

    write_record(data, size);
    if (wherry_container_open(PLACE, "id", &container, &err) < 0) {
        if (err.message[0] == '\0')
            abort();
        return 0;
    }
    json_object_put(wherry_container_state(&container, wherry_container_status(&container)));
    /* What was read can be written, and what was written read. */
    must(wherry_container_save(&container, &err) == 0, err.message);
    wherry_container_close(&container);
    must(wherry_container_open(PLACE, "id", &container, &err) == 0, err.message);
    wherry_container_close(&container);
    return 0;
}
