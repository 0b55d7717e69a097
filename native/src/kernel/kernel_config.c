/* Reading a kernel's configuration; see kernel_config.h. */
#include "kernel/kernel_config.h"

#include "wherry/cleanup.h"
#include "wherry/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

#define GZIP_WINDOW (MAX_WBITS + 16) /* zlib: a gzip header, and nothing else, is expected */

static void cleanup_inflate(z_stream **stream)
{
    inflateEnd(*stream);
}

static int unpack(const void *data, size_t length, const char *name, char **text, size_t *text_length,
                  struct wherry_error *err)
{
    z_stream stream = {.next_in = (Bytef *)(uintptr_t)data, .avail_in = (uInt)length};
    z_stream *open __attribute__((cleanup(cleanup_inflate))) = &stream;
    cleanup_free char *buffer = NULL;
    size_t size = 64 << 10, used = 0;
    int result = inflateInit2(&stream, GZIP_WINDOW);

    (void)open;
    while (result == Z_OK) {
        char *larger = buffer == NULL || used + 1 >= size ? realloc(buffer, size *= 2) : buffer;

        if (larger == NULL)
            return wherry_error_set(err, ENOMEM, "read %s", name);
        buffer = larger;
        stream.next_out = (Bytef *)buffer + used;
        stream.avail_out = (uInt)(size - 1 - used);
        result = inflate(&stream, Z_NO_FLUSH);
        used = size - 1 - stream.avail_out;
        if (used > KERNEL_CONFIG_MAX)
            return wherry_error_set(err, EFBIG, "%s: larger than %zu bytes when unpacked", name, KERNEL_CONFIG_MAX);
        /* Nothing more to read and nothing made of it: the file ends too early. */
        if (result == Z_OK && stream.avail_in == 0 && stream.avail_out > 0)
            result = Z_BUF_ERROR;
    }
    if (result != Z_STREAM_END || buffer == NULL)
        return wherry_error_set(err, 0, "%s: damaged gzip data%s%s", name, stream.msg != NULL ? ": " : "",
                                stream.msg != NULL ? stream.msg : "");
    *text = wherry_steal_pointer(&buffer);
    *text_length = used;
    return 0;
}

static int by_name(const void *one, const void *other)
{
    return strcmp(((const struct kernel_config_entry *)one)->name, ((const struct kernel_config_entry *)other)->name);
}

static int add(struct kernel_config *config, size_t *room, const char *name, const char *value)
{
    if (config->count == *room) {
        size_t larger_room = *room == 0 ? 4096 : *room * 2;
        struct kernel_config_entry *larger = reallocarray(config->entries, larger_room, sizeof(*larger));

        if (larger == NULL)
            return -ENOMEM;
        config->entries = larger;
        *room = larger_room;
    }
    config->entries[config->count++] = (struct kernel_config_entry){.name = name, .value = value};
    return 0;
}

/* "# Linux/x86 6.1.90 Kernel Configuration", or before 4.x "# Linux/x86_64 3.16.0 Kernel Configuration". */
static void read_header(struct kernel_config *config, const char *line)
{
    const char *end = strstr(line, " Kernel Configuration"), *start;

    if (config->version[0] != '\0' || end == NULL || strncmp(line, "# Linux/", 8) != 0)
        return;
    start = end;
    while (start > line && start[-1] != ' ')
        start--;
    snprintf(config->version, sizeof(config->version), "%.*s", (int)(end - start), start);
}

/* Cuts the text into lines and keeps those that set an option; the last of a name counts, as for the kernel's own
 * build. */
static int index_text(struct kernel_config *config)
{
    size_t room = 0;

    for (char *line = config->text, *next; line != NULL; line = next) {
        char *equals;

        next = strchr(line, '\n');
        if (next != NULL)
            *next++ = '\0';
        line[strcspn(line, "\r")] = '\0';
        equals = strchr(line, '=');
        if (line[0] == '#') {
            read_header(config, line);
        } else if (equals != NULL && strncmp(line, "CONFIG_", 7) == 0) {
            *equals = '\0';
            if (add(config, &room, line, equals + 1) < 0)
                return -ENOMEM;
        }
    }
    if (config->count > 0)
        qsort(config->entries, config->count, sizeof(*config->entries), by_name);
    return 0;
}

int kernel_config_parse(const void *data, size_t length, const char *name, struct kernel_config *config,
                        struct wherry_error *err)
{
    const unsigned char *bytes = data;
    size_t text_length = length;

    *config = (struct kernel_config)KERNEL_CONFIG_INIT;
    if (length > KERNEL_CONFIG_MAX)
        return wherry_error_set(err, EFBIG, "%s: larger than %zu bytes", name, KERNEL_CONFIG_MAX);
    if (length > 2 && bytes[0] == 0x1f && bytes[1] == 0x8b) {
        int result = unpack(data, length, name, &config->text, &text_length, err);

        if (result < 0)
            return result;
    } else {
        config->text = malloc(length + 1);
        if (config->text == NULL)
            return wherry_error_set(err, ENOMEM, "read %s", name);
        memcpy(config->text, data, length);
    }
    config->text[text_length] = '\0';
    if (index_text(config) < 0) {
        kernel_config_free(config);
        return wherry_error_set(err, ENOMEM, "read %s", name);
    }
    if (config->count == 0) {
        kernel_config_free(config);
        return wherry_error_set(err, EINVAL, "%s: not a kernel configuration: no CONFIG_ option in it", name);
    }
    return 0;
}

int kernel_config_read(const char *path, struct kernel_config *config, struct wherry_error *err)
{
    cleanup_free char *text = NULL;
    size_t length = 0;
    int result = wherry_file_read(AT_FDCWD, path, KERNEL_CONFIG_MAX, &text, &length, err);

    return result < 0 ? result : kernel_config_parse(text, length, path, config, err);
}

int kernel_config_find(const char *release, bool running, struct kernel_config *config, char **path,
                       struct wherry_error *err)
{
    static const char *const places[] = {"/proc/config.gz", "/boot/config-%s", "/lib/modules/%s/config",
                                         "/lib/modules/%s/build/.config"};

    for (size_t i = running ? 0 : 1; i < sizeof(places) / sizeof(places[0]); i++) {
        cleanup_free char *place = NULL;
        int result;

        if (asprintf(&place, places[i], release) < 0) {
            place = NULL;
            return wherry_error_set(err, ENOMEM, "find the kernel's configuration");
        }
        if (access(place, F_OK) < 0)
            continue;
        result = kernel_config_read(place, config, err);
        if (result < 0)
            return result;
        *path = wherry_steal_pointer(&place);
        return 1;
    }
    return 0;
}

const char *kernel_config_get(const struct kernel_config *config, const char *name)
{
    const struct kernel_config_entry wanted = {.name = name, .value = NULL}, *found, *end;

    if (config->count == 0)
        return NULL;
    found = bsearch(&wanted, config->entries, config->count, sizeof(wanted), by_name);
    if (found == NULL)
        return NULL;
    /* The sort keeps no order among equals, but their places in the text do: the last one counts. */
    end = config->entries + config->count;
    while (found > config->entries && strcmp(found[-1].name, name) == 0)
        found--;
    for (const struct kernel_config_entry *other = found + 1; other < end && strcmp(other->name, name) == 0; other++)
        found = other->value > found->value ? other : found;
    return strcmp(found->value, "n") == 0 ? NULL : found->value;
}

void kernel_config_free(struct kernel_config *config)
{
    free(config->text);
    free(config->entries);
    *config = (struct kernel_config)KERNEL_CONFIG_INIT;
}
