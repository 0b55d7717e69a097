/* What a client sends to a monitor: any bytes, in frames or not, are received or end the connection. */
#include "monitor/client.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct client *client;
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        abort();
    if (send(pair[1], data, size, MSG_DONTWAIT) < 0) {
        /* more than the socket holds: nothing to receive */
    }
    close(pair[1]);
    client = client_new(pair[0]);
    if (client == NULL)
        abort();
    while (client_receive(client) == 1) {
        if (client_frame_length(client) > FRAME_PAYLOAD_MAX)
            abort();
        client_consume(client);
    }
    client_free(client);
    return 0;
}
