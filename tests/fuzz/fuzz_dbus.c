/* Messages of D-Bus as a peer may send them: their length, their header, and the values of what this runtime reads. */
#include "runtime/dbus_message.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_all(const struct dbus_message *message)
{
    const char *text;
    uint32_t number;
    size_t at = 0;

    while (dbus_read_u32(message, &at, &number) && dbus_read_string(message, &at, &text) &&
           dbus_read_signature(message, &at, &text)) {
        if (at > message->body_length)
            abort();
    }
    if (strlen(message->path) + strlen(message->member) + strlen(message->error) + strlen(message->signature) > 1 << 24)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wherry_error err = WHERRY_ERROR_INIT;
    struct dbus_message message;
    unsigned char *copy;
    size_t length = 0;

    if (size < DBUS_HEAD || dbus_message_length(data, &length, &err) < 0 || length > size)
        return 0;
    /* Exactly as long as the message, so that a byte too far is seen. */
    copy = malloc(length);
    if (copy == NULL)
        return 0;
    memcpy(copy, data, length);
    if (dbus_message_read(copy, length, &message, &err) >= 0)
        read_all(&message);
    free(copy);
    return 0;
}
