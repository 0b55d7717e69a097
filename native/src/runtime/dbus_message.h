/*
 * Messages of the D-Bus protocol: written, and read with every length checked. Only what calls to systemd need.
 *
 * Source: D-Bus Specification, "Type System", "Marshaling (Wire Format)" and "Message Protocol".
 */
#pragma once

#include "wherry/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DBUS_MESSAGE_MAX ((size_t)1 << 20)
#define DBUS_HEAD 16 /* bytes that tell how long a message is */

enum dbus_type {
    DBUS_METHOD_CALL = 1,
    DBUS_METHOD_RETURN,
    DBUS_ERROR,
    DBUS_SIGNAL,
};

/* Grows as it is written to. Failing memory is remembered and told in the end. */
struct dbus_writer {
    unsigned char *data;
    size_t length, room;
    bool failed;
};

#define DBUS_WRITER_INIT                                                                                               \
    {                                                                                                                  \
        .data = NULL                                                                                                   \
    }

void dbus_write_align(struct dbus_writer *writer, size_t alignment);
void dbus_write_byte(struct dbus_writer *writer, uint8_t value);
void dbus_write_u16(struct dbus_writer *writer, uint16_t value);
void dbus_write_u32(struct dbus_writer *writer, uint32_t value);
void dbus_write_u64(struct dbus_writer *writer, uint64_t value);
void dbus_write_string(struct dbus_writer *writer, const char *text); /* s and o */
void dbus_write_signature(struct dbus_writer *writer, const char *text);

/* What is written between the two is the array's content; `alignment` is that of its elements. */
size_t dbus_write_array_begin(struct dbus_writer *writer, size_t alignment);
void dbus_write_array_end(struct dbus_writer *writer, size_t mark, size_t alignment);

void dbus_writer_free(struct dbus_writer *writer);

/* A call of a method; `destination` NULL where there is no bus between. `body` is of type `signature`. */
struct dbus_call {
    const char *destination, *path, *interface, *member, *signature;
    struct dbus_writer body;
};

/* The whole message. */
int dbus_message_write(const struct dbus_call *call, uint32_t serial, struct dbus_writer *message,
                       struct wherry_error *err);

/* A message that was received. Its strings are part of `data`; "" where it has none. */
struct dbus_message {
    enum dbus_type type;
    uint32_t reply_serial;
    const char *path, *interface, *member, *error, *signature;
    unsigned char *data; /* all of it; the owner's to free() */
    const unsigned char *body;
    size_t body_length;
};

/* The length of the message that begins with these DBUS_HEAD bytes. */
int dbus_message_length(const unsigned char head[DBUS_HEAD], size_t *length, struct wherry_error *err);

/* Reads a whole message. `data` stays the caller's on failure, and is the message's on success. */
int dbus_message_read(unsigned char *data, size_t length, struct dbus_message *message, struct wherry_error *err);

/* Reads one value of the body after another: *at begins as 0. */
bool dbus_read_u32(const struct dbus_message *message, size_t *at, uint32_t *value);
bool dbus_read_string(const struct dbus_message *message, size_t *at, const char **text);
bool dbus_read_signature(const struct dbus_message *message, size_t *at, const char **text);
