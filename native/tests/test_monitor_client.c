/* Frames over a socket: whole, in pieces, too long, and to a peer that does not read. */
#include "check.h"
#include "monitor/client.h"

#include <fcntl.h>
#include <sys/socket.h>

static int pair[2];

static struct client *connected(void)
{
    struct client *client;

    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    client = client_new(pair[0]);
    client->out.directory = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    client->out.file_max = 1024 * 1024;
    return client;
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

static char piece[12 * 1024];

static bool take_piece(struct client *client, int number)
{
    static char got[sizeof(piece) + FRAME_HEADER];
    size_t have = 0;

    while (have < sizeof(got)) {
        ssize_t length = recv(pair[1], got + have, sizeof(got) - have, 0);

        if (length <= 0)
            return false;
        have += (size_t)length;
        client_flush(client);
    }
    return got[0] == FRAME_STDOUT && got[FRAME_HEADER] == 'a' + number % 26 &&
           got[sizeof(got) - 1] == 'a' + number % 26;
}

static void send_piece(struct client *client, int number)
{
    memset(piece, 'a' + number % 26, sizeof(piece));
    client_send(client, FRAME_STDOUT, piece, sizeof(piece));
}

/* Five megabytes through a ring of one: the file is written around and around while the peer is behind. */
static void what_a_peer_does_not_read_waits_in_order_in_memory_and_file(void)
{
    struct client *client = connected();
    int sent = 0, taken = 0;

    while (!backlog_is_full(&client->out) && sent < 1000)
        send_piece(client, sent++);
    CHECK(sent > 60 && sent < 200 && client->out.file >= 0);
    while (sent < 450) {
        CHECK(take_piece(client, taken++));
        if (!backlog_is_full(&client->out))
            send_piece(client, sent++);
    }
    CHECK(client->out.written > 2 * client->out.file_max);
    while (taken < sent)
        CHECK(take_piece(client, taken++));
    CHECK(client_is_flushed(client) && client->out.memory == NULL && client->out.file == -1 && !client->dead);
    client_free(client);
}

/* The type of the frame that comes next, its payload in `piece`; -1: none. */
static int take_frame(struct client *client, size_t *length)
{
    uint8_t header[FRAME_HEADER];

    if (recv(pair[1], header, sizeof(header), MSG_WAITALL) != (ssize_t)sizeof(header))
        return -1;
    client_flush(client);
    *length = frame_u32(header + 4);
    for (size_t have = 0; have < *length;) {
        ssize_t got = recv(pair[1], piece + have, *length - have, 0);

        if (got <= 0)
            return -1;
        have += (size_t)got;
        client_flush(client);
    }
    return header[0];
}

static void who_is_cut_off_gets_whole_frames_and_the_reason(void)
{
    static const char END[] = " bytes behind: for a test";
    struct client *client = connected();
    size_t length = 0;
    int type, whole = 0;

    for (int i = 0; i < 80; i++)
        send_piece(client, i);
    client_cut(client, "for a test");
    send_piece(client, 0);
    CHECK(!client->dead && client->out.file == -1);
    while ((type = take_frame(client, &length)) == FRAME_STDOUT)
        whole++;
    CHECK(whole > 0 && whole < 80 && type == FRAME_CUT);
    CHECK(length > sizeof(END) && memcmp(piece, "output cut off, ", 16) == 0);
    CHECK(memcmp(piece + length - sizeof(END) + 1, END, sizeof(END) - 1) == 0);
    CHECK(client->dead);
    client_free(client);
}

int main(void)
{
    RUN(a_frame_that_comes_byte_by_byte_is_one_frame);
    RUN(a_frame_that_claims_too_much_ends_the_connection);
    RUN(a_peer_that_left_is_gone);
    RUN(what_a_peer_does_not_read_waits_in_order_in_memory_and_file);
    RUN(who_is_cut_off_gets_whole_frames_and_the_reason);
    return check_result();
}
