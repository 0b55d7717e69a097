/* Messages of the D-Bus protocol; see dbus_message.h. Written in little endian, which every peer has to read. */
#include "dbus_message.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define VERSION 1
#define FIELDS_AT 12 /* where the array of header fields has its length */

enum field {
    FIELD_PATH = 1,
    FIELD_INTERFACE,
    FIELD_MEMBER,
    FIELD_ERROR,
    FIELD_REPLY_SERIAL,
    FIELD_DESTINATION,
    FIELD_SENDER,
    FIELD_SIGNATURE,
};

static size_t aligned(size_t length, size_t alignment)
{
    return (length + alignment - 1) / alignment * alignment;
}

static void put(struct dbus_writer *writer, const void *data, size_t length)
{
    if (writer->length + length > writer->room && !writer->failed) {
        size_t room = (writer->length + length) * 2 + 256;
        unsigned char *larger = room <= DBUS_MESSAGE_MAX * 4 ? realloc(writer->data, room) : NULL;

        writer->failed = larger == NULL;
        if (larger != NULL) {
            writer->data = larger;
            writer->room = room;
        }
    }
    if (writer->failed || length == 0)
        return;
    memcpy(writer->data + writer->length, data, length);
    writer->length += length;
}

void dbus_write_align(struct dbus_writer *writer, size_t alignment)
{
    static const unsigned char zeros[8];

    put(writer, zeros, aligned(writer->length, alignment) - writer->length);
}

void dbus_write_byte(struct dbus_writer *writer, uint8_t value)
{
    put(writer, &value, 1);
}

void dbus_write_u16(struct dbus_writer *writer, uint16_t value)
{
    uint16_t little = htole16(value);

    dbus_write_align(writer, 2);
    put(writer, &little, sizeof(little));
}

void dbus_write_u32(struct dbus_writer *writer, uint32_t value)
{
    uint32_t little = htole32(value);

    dbus_write_align(writer, 4);
    put(writer, &little, sizeof(little));
}

void dbus_write_u64(struct dbus_writer *writer, uint64_t value)
{
    uint64_t little = htole64(value);

    dbus_write_align(writer, 8);
    put(writer, &little, sizeof(little));
}

void dbus_write_string(struct dbus_writer *writer, const char *text)
{
    size_t length = strlen(text);

    dbus_write_u32(writer, (uint32_t)length);
    put(writer, text, length + 1);
}

void dbus_write_signature(struct dbus_writer *writer, const char *text)
{
    size_t length = strlen(text);

    dbus_write_byte(writer, (uint8_t)length);
    put(writer, text, length + 1);
}

size_t dbus_write_array_begin(struct dbus_writer *writer, size_t alignment)
{
    size_t mark;

    dbus_write_u32(writer, 0);
    mark = writer->length;
    dbus_write_align(writer, alignment);
    return mark;
}

void dbus_write_array_end(struct dbus_writer *writer, size_t mark, size_t alignment)
{
    uint32_t length;

    if (writer->failed)
        return;
    /* The padding before the first element is not counted. */
    length = htole32((uint32_t)(writer->length - aligned(mark, alignment)));
    memcpy(writer->data + mark - sizeof(length), &length, sizeof(length));
}

void dbus_writer_free(struct dbus_writer *writer)
{
    free(writer->data);
    *writer = (struct dbus_writer)DBUS_WRITER_INIT;
}

static void put_field(struct dbus_writer *writer, enum field field, const char *signature, const char *value)
{
    if (value == NULL || value[0] == '\0')
        return;
    dbus_write_align(writer, 8);
    dbus_write_byte(writer, (uint8_t)field);
    dbus_write_signature(writer, signature);
    if (signature[0] == 'g')
        dbus_write_signature(writer, value);
    else
        dbus_write_string(writer, value);
}

int dbus_message_write(const struct dbus_call *call, uint32_t serial, struct dbus_writer *message,
                       struct wherry_error *err)
{
    size_t mark;

    dbus_write_byte(message, 'l');
    dbus_write_byte(message, DBUS_METHOD_CALL);
    dbus_write_byte(message, 0);
    dbus_write_byte(message, VERSION);
    dbus_write_u32(message, (uint32_t)call->body.length);
    dbus_write_u32(message, serial);
    mark = dbus_write_array_begin(message, 8);
    put_field(message, FIELD_PATH, "o", call->path);
    put_field(message, FIELD_DESTINATION, "s", call->destination);
    put_field(message, FIELD_INTERFACE, "s", call->interface);
    put_field(message, FIELD_MEMBER, "s", call->member);
    put_field(message, FIELD_SIGNATURE, "g", call->signature);
    dbus_write_array_end(message, mark, 8);
    dbus_write_align(message, 8);
    put(message, call->body.data, call->body.length);
    if (message->failed || call->body.failed || message->length > DBUS_MESSAGE_MAX)
        return wherry_error_set(err, ENOMEM, "D-Bus call %s", call->member);
    return 0;
}

static uint32_t load_u32(const unsigned char *data)
{
    uint32_t little;

    memcpy(&little, data, sizeof(little));
    return le32toh(little);
}

int dbus_message_length(const unsigned char head[DBUS_HEAD], size_t *length, struct wherry_error *err)
{
    size_t body = load_u32(head + 4), fields = load_u32(head + FIELDS_AT);

    /* A bus passes messages on as they came; those who answer here speak as they are spoken to. */
    if (head[0] != 'l' || head[3] != VERSION)
        return wherry_error_set(err, EPROTO, "D-Bus message of another byte order or version");
    if (body > DBUS_MESSAGE_MAX || fields > DBUS_MESSAGE_MAX)
        return wherry_error_set(err, EMSGSIZE, "D-Bus message");
    *length = aligned(DBUS_HEAD + fields, 8) + body;
    return 0;
}

/* What is read from: a part of a message. */
struct reader {
    const unsigned char *data;
    size_t at, length;
};

static bool read_align(struct reader *reader, size_t alignment)
{
    reader->at = aligned(reader->at, alignment);
    return reader->at <= reader->length;
}

static bool read_u32(struct reader *reader, uint32_t *value)
{
    if (!read_align(reader, 4) || reader->length - reader->at < 4)
        return false;
    *value = load_u32(reader->data + reader->at);
    reader->at += 4;
    return true;
}

/* `length` bytes and a NUL that is nowhere among them. */
static bool read_text(struct reader *reader, size_t length, const char **text)
{
    if (reader->at > reader->length || length >= reader->length - reader->at)
        return false;
    *text = (const char *)reader->data + reader->at;
    reader->at += length + 1;
    return memchr(*text, '\0', length + 1) == *text + length;
}

static bool read_string(struct reader *reader, const char **text)
{
    uint32_t length;

    return read_u32(reader, &length) && read_text(reader, length, text);
}

static bool read_signature(struct reader *reader, const char **text)
{
    if (reader->at >= reader->length)
        return false;
    reader->at++;
    return read_text(reader, reader->data[reader->at - 1], text);
}

/* One header field; of an unknown one only the types that header fields have can be passed over. */
static bool read_field(struct reader *reader, struct dbus_message *message)
{
    const char *signature, *text = "";
    uint32_t number = 0;
    uint8_t field;

    if (!read_align(reader, 8) || reader->at >= reader->length)
        return false;
    field = reader->data[reader->at++];
    if (!read_signature(reader, &signature))
        return false;
    if (strcmp(signature, "u") == 0 ? !read_u32(reader, &number)
        : strcmp(signature, "g") == 0
            ? !read_signature(reader, &text)
            : (strcmp(signature, "s") != 0 && strcmp(signature, "o") != 0) || !read_string(reader, &text))
        return false;
    if (field == FIELD_PATH)
        message->path = text;
    else if (field == FIELD_INTERFACE)
        message->interface = text;
    else if (field == FIELD_MEMBER)
        message->member = text;
    else if (field == FIELD_ERROR)
        message->error = text;
    else if (field == FIELD_REPLY_SERIAL)
        message->reply_serial = number;
    else if (field == FIELD_SIGNATURE)
        message->signature = text;
    return true;
}

int dbus_message_read(unsigned char *data, size_t length, struct dbus_message *message, struct wherry_error *err)
{
    size_t expected = 0, fields;
    struct reader reader = {.data = data, .at = DBUS_HEAD};
    int result = length < DBUS_HEAD ? wherry_error_set(err, EPROTO, "D-Bus message that is too short")
                                    : dbus_message_length(data, &expected, err);

    if (result < 0)
        return result;
    if (expected != length)
        return wherry_error_set(err, EPROTO, "D-Bus message of a wrong length");
    fields = load_u32(data + FIELDS_AT);
    *message =
        (struct dbus_message){.type = data[1], .path = "", .interface = "", .member = "", .error = "", .signature = ""};
    reader.length = DBUS_HEAD + fields;
    while (reader.at < reader.length) {
        if (!read_field(&reader, message))
            return wherry_error_set(err, EPROTO, "D-Bus message with a broken header");
    }
    message->body = data + aligned(reader.length, 8);
    message->body_length = length - aligned(reader.length, 8);
    message->data = data;
    return 0;
}

bool dbus_read_u32(const struct dbus_message *message, size_t *at, uint32_t *value)
{
    struct reader reader = {message->body, *at, message->body_length};
    bool good = read_u32(&reader, value);

    *at = reader.at;
    return good;
}

bool dbus_read_string(const struct dbus_message *message, size_t *at, const char **text)
{
    struct reader reader = {message->body, *at, message->body_length};
    bool good = read_string(&reader, text);

    *at = reader.at;
    return good;
}

bool dbus_read_signature(const struct dbus_message *message, size_t *at, const char **text)
{
    struct reader reader = {message->body, *at, message->body_length};
    bool good = read_signature(&reader, text);

    *at = reader.at;
    return good;
}
