/* The monitor's log lines: what a JSON string may hold, and how lines are cut. */
#include "check.h"
#include "monitor/log.h"
#include "monitor/log_json.h"

#include <fcntl.h>
#include <sys/stat.h>

static const char *escaped(const char *data, size_t length)
{
    static char out[256];

    out[log_json_escape(out, data, length)] = '\0';
    return out;
}

static void plain_text_stays(void)
{
    CHECK_TEXT(escaped("hello, world", 12), "hello, world");
    CHECK_TEXT(escaped("\xc3\xa9 \xe2\x82\xac \xf0\x9d\x84\x9e", 11), "\xc3\xa9 \xe2\x82\xac \xf0\x9d\x84\x9e");
}

static void json_special_characters_are_escaped(void)
{
    CHECK_TEXT(escaped("a\"b\\c\n\r\t", 8), "a\\\"b\\\\c\\n\\r\\t");
    CHECK_TEXT(escaped("\0\x1f<>&", 5), "\\u0000\\u001f\\u003c\\u003e\\u0026");
}

static void what_is_not_utf8_becomes_the_replacement_character(void)
{
    CHECK_TEXT(escaped("\xff", 1), "\\ufffd");
    CHECK_TEXT(escaped("\xc3", 1), "\\ufffd");                                  /* cut short */
    CHECK_TEXT(escaped("\xc0\xaf", 2), "\\ufffd\\ufffd");                       /* overlong */
    CHECK_TEXT(escaped("\xe0\x80\xaf", 3), "\\ufffd\\ufffd\\ufffd");            /* overlong */
    CHECK_TEXT(escaped("\xed\xa0\x80", 3), "\\ufffd\\ufffd\\ufffd");            /* surrogate */
    CHECK_TEXT(escaped("\xf4\x90\x80\x80", 4), "\\ufffd\\ufffd\\ufffd\\ufffd"); /* beyond U+10FFFF */
    CHECK_TEXT(escaped("\xe2\x82(", 3), "\\ufffd\\ufffd(");
}

static struct monitor_log *opened(const char *driver, const char *path)
{
    static struct monitor_log log;
    static const char *const attributes[] = {"k=v"};
    struct wherry_error err = WHERRY_ERROR_INIT;
    struct log_options options = {.driver = driver,
                                  .path = path,
                                  .max_size = -1,
                                  .max_file = 1,
                                  .address = "",
                                  .format = "",
                                  .tag = "",
                                  .attributes = attributes,
                                  .attribute_count = 1};

    unlink(path);
    log = (struct monitor_log){0};
    CHECK_OK(monitor_log_open(&log, &options, &err), err);
    return &log;
}

static size_t lines_of(const char *path, char *text, size_t room)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = read(fd, text, room - 1);
    size_t lines = 0;

    close(fd);
    text[length > 0 ? length : 0] = '\0';
    for (const char *at = text; (at = strchr(at, '\n')) != NULL; at++)
        lines++;
    return lines;
}

static void a_line_that_comes_in_pieces_is_one_line(void)
{
    char path[64], text[4096];
    struct monitor_log *log;

    snprintf(path, sizeof(path), "/tmp/wherry-log-%d", (int)getpid());
    log = opened("json-file", path);
    monitor_log_write(log, LOG_STDOUT, "one ", 4);
    monitor_log_write(log, LOG_STDERR, "other\n", 6);
    monitor_log_write(log, LOG_STDOUT, "line\nrest", 9);
    CHECK(lines_of(path, text, sizeof(text)) == 2);
    CHECK(strstr(text, "{\"log\":\"one line\\n\",\"stream\":\"stdout\",\"attrs\":{\"k\":\"v\"},\"time\":\"") != NULL);
    CHECK(strstr(text, "{\"log\":\"other\\n\",\"stream\":\"stderr\"") != NULL);
    monitor_log_flush(log);
    CHECK(lines_of(path, text, sizeof(text)) == 3);
    CHECK(strstr(text, "{\"log\":\"rest\",") != NULL);
    monitor_log_close(log);
    unlink(path);
}

static void a_record_of_the_local_driver_stands_between_its_lengths(void)
{
    static const unsigned char source[] = {0x0a, 6, 's', 't', 'd', 'e', 'r', 'r', 0x10};
    static const unsigned char line[] = {0x1a, 3, 'o', 'n', 'e'};
    char path[64];
    unsigned char record[256];
    struct monitor_log *log;
    ssize_t length;
    int fd;

    snprintf(path, sizeof(path), "/tmp/wherry-log-%d", (int)getpid());
    log = opened("local", path);
    monitor_log_write(log, LOG_STDERR, "one\n", 4);
    monitor_log_close(log);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    length = read(fd, record, sizeof(record));
    close(fd);
    unlink(path);
    CHECK(length > 16 && record[3] == length - 8 && memcmp(record, record + length - 4, 4) == 0);
    CHECK(memcmp(record + 4, source, sizeof(source)) == 0);
    CHECK(memcmp(record + length - 4 - (ssize_t)sizeof(line), line, sizeof(line)) == 0);
}

int main(void)
{
    RUN(plain_text_stays);
    RUN(json_special_characters_are_escaped);
    RUN(what_is_not_utf8_becomes_the_replacement_character);
    RUN(a_line_that_comes_in_pieces_is_one_line);
    RUN(a_record_of_the_local_driver_stands_between_its_lengths);
    return check_result();
}
