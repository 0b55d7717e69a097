/*
 * The driver local, in Docker's form. A file is a sequence of records; each is a protobuf message between two copies of
 * its length (32 bits, big endian), so that the file can be read from either end:
 *
 *     message LogEntry {
 *         string source = 1;              // "stdout", "stderr"
 *         int64 time_nano = 2;            // since 1970
 *         bytes line = 3;                 // without the newline
 *         bool partial = 4;
 *         PartialLogEntryMetadata partial_log_metadata = 5;   // of a piece of a long line
 *     }
 *     message PartialLogEntryMetadata { bool last = 1; string id = 2; int32 ordinal = 3; }
 *
 * A reader puts a newline behind a line that is no piece, and behind the last piece of one. Fields that are zero are
 * left out (protobuf's encoding: a key is number << 3 | type, type 0 a varint, type 2 a length and bytes).
 */
#include "monitor/log_file.h"

#include <string.h>
#include <unistd.h>

#define KEY_VARINT(number) ((number) << 3)
#define KEY_BYTES(number) ((number) << 3 | 2)
#define TAIL_MAX 128

struct message {
    size_t length;
    uint8_t bytes[TAIL_MAX];
};

static void put_byte(struct message *message, unsigned byte)
{
    message->bytes[message->length++] = (uint8_t)byte;
}

static void put_varint(struct message *message, unsigned key, uint64_t value)
{
    put_byte(message, key);
    for (; value >= 0x80; value >>= 7)
        put_byte(message, (unsigned)(value & 0x7f) | 0x80);
    put_byte(message, (unsigned)value);
}

static void put_text(struct message *message, unsigned key, const char *text, size_t length)
{
    put_varint(message, key, length);
    memcpy(message->bytes + message->length, text, length);
    message->length += length;
}

static void put_partial(struct message *tail, const struct log_entry *entry)
{
    static const char HEX[] = "0123456789abcdef";
    struct message inner = {0};
    char id[LOG_LINE_ID * 2];

    for (size_t i = 0; i < LOG_LINE_ID; i++) {
        id[i * 2] = HEX[entry->id[i] >> 4];
        id[i * 2 + 1] = HEX[entry->id[i] & 0xf];
    }
    if (entry->ends_line)
        put_varint(&inner, KEY_VARINT(1), 1);
    put_text(&inner, KEY_BYTES(2), id, sizeof(id));
    put_varint(&inner, KEY_VARINT(3), entry->ordinal);
    put_varint(tail, KEY_VARINT(4), 1);
    put_text(tail, KEY_BYTES(5), (const char *)inner.bytes, inner.length);
}

static void local_write(struct monitor_log *log, const struct log_entry *entry)
{
    static const char *const NAMES[] = {"stdout", "stderr"};
    struct log_file *file = log->sink;
    struct message head = {0}, tail = {0};
    uint8_t frame[4];
    size_t size;

    put_text(&head, KEY_BYTES(1), NAMES[entry->stream], 6);
    put_varint(&head, KEY_VARINT(2), (uint64_t)entry->time.tv_sec * 1000000000 + (uint64_t)entry->time.tv_nsec);
    if (entry->length > 0)
        put_varint(&head, KEY_BYTES(3), entry->length);
    if (entry->ordinal != 0)
        put_partial(&tail, entry);
    size = head.length + entry->length + tail.length;
    for (size_t i = 0; i < sizeof(frame); i++)
        frame[i] = (uint8_t)(size >> (24 - 8 * i));
    log_file_begin(file);
    log_file_append(file, frame, sizeof(frame));
    log_file_append(file, head.bytes, head.length);
    log_file_append(file, entry->data, entry->length);
    log_file_append(file, tail.bytes, tail.length);
    log_file_append(file, frame, sizeof(frame));
    log_file_end(file, entry->length + entry->ends_line);
}

static bool read_length(const struct log_file *file, int64_t at, int64_t *length)
{
    uint8_t bytes[4];

    if (pread(file->fd, bytes, sizeof(bytes), at) != (ssize_t)sizeof(bytes))
        return false;
    *length = (int64_t)bytes[0] << 24 | bytes[1] << 16 | bytes[2] << 8 | bytes[3];
    return true;
}

/* A monitor that was killed may have left half a record, behind which nothing could be read. */
static int repair(struct log_file *file, struct wherry_error *err)
{
    int64_t length, again, end = 0;

    if (file->size == 0 || (read_length(file, file->size - 4, &length) &&
                            read_length(file, file->size - 8 - length, &again) && again == length))
        return 0;
    while (read_length(file, end, &length) && end + length + 8 <= file->size)
        end += length + 8;
    return log_file_cut(file, end, err);
}

static int local_open(struct monitor_log *log, struct wherry_error *err)
{
    struct log_file *file = NULL;
    int ret = log_file_open(&file, log, err);

    if (ret == 0 && (ret = repair(file, err)) < 0) {
        log_file_close(file);
        file = NULL;
    }
    log->sink = file;
    return ret;
}

static void local_flush(struct monitor_log *log)
{
    log_file_flush(log->sink);
}

static int local_reopen(struct monitor_log *log, struct wherry_error *err)
{
    return log_file_reopen(log->sink, err);
}

static void local_close(struct monitor_log *log)
{
    log_file_close(log->sink);
    log->sink = NULL;
}

const struct log_driver LOG_DRIVER_LOCAL = {
    .name = "local",
    .has_file = true,
    .open = local_open,
    .write = local_write,
    .flush = local_flush,
    .reopen = local_reopen,
    .close = local_close,
};
