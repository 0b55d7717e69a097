/* Frames over a socket: whole, in pieces, too long, and to a peer that does not read. */
#include "check.h"
#include "monitor/client.h"

#include <sys/socket.h>

static int pair[2];

static struct client *connected(void)
{
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    return client_new(pair[0]);
}

static void feed(const char *bytes, size_t length)
{
    CHECK(write(pair[1], bytes, length) == (ssize_t)length);
}

static void a_frame_that_comes_byte_by_byte_is_one_frame(void)
{
    static const char frame[] = "\x0c\0\0\0\0\0\0\x02no";
    struct client *client = connected();

    for (size_t i = 0; i < 9; i++) {
        feed(frame + i, 1);
        CHECK(client_receive(client) == 0);
    }
    feed(frame + 9, 1);
    CHECK(client_receive(client) == 1);
    CHECK(client_frame_type(client) == FRAME_POLICY && client_frame_length(client) == 2);
    CHECK(memcmp(client->in + FRAME_HEADER, "no", 2) == 0);
    client_consume(client);
    CHECK(client_receive(client) == 0 && client->in == NULL);
    client_free(client);
}

static void a_frame_that_claims_too_much_ends_the_connection(void)
{
    struct client *client = connected();

    feed("\0\0\0\0\xff\xff\xff\xff", 8);
    CHECK(client_receive(client) == -1);
    client_free(client);
}

static void a_peer_that_left_is_gone(void)
{
    struct client *client = connected();

    close(pair[1]);
    CHECK(client_receive(client) == -1);
    client_send(client, FRAME_OK, NULL, 0);
    CHECK(client->dead);
    client_free(client);
}

static void what_a_peer_does_not_read_waits_in_order(void)
{
    static char piece[32 * 1024], got[sizeof(piece) + FRAME_HEADER];
    struct client *client = connected();

    for (int i = 0; i < 64; i++) {
        memset(piece, 'a' + i % 26, sizeof(piece));
        client_send(client, FRAME_STDOUT, piece, sizeof(piece));
    }
    CHECK(!client->dead && client->out_length > 0);
    for (int i = 0; i < 64; i++) {
        size_t have = 0;

        while (have < sizeof(got)) {
            ssize_t length = recv(pair[1], got + have, sizeof(got) - have, 0);

            CHECK(length > 0);
            if (length <= 0)
                return;
            have += (size_t)length;
            client_flush(client);
        }
        CHECK(got[0] == FRAME_STDOUT && got[FRAME_HEADER] == 'a' + i % 26 && got[sizeof(got) - 1] == 'a' + i % 26);
    }
    CHECK(client->out_length == 0 && client->out == NULL);
    client_free(client);
}

int main(void)
{
    RUN(a_frame_that_comes_byte_by_byte_is_one_frame);
    RUN(a_frame_that_claims_too_much_ends_the_connection);
    RUN(a_peer_that_left_is_gone);
    RUN(what_a_peer_does_not_read_waits_in_order);
    return check_result();
}
