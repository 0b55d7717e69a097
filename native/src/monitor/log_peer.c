/* See log_peer.h. */
#include "monitor/log_peer.h"

#include "monitor/log_queue.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define CONNECT_SECONDS 5
#define SEND_MS 250 /* how long a send waits before it looks whether the monitor is about to end */
#define RETRY_MS 1000
#define PARTS_MAX 16

static int parse_path(struct log_peer *peer, const char *path, int type, struct wherry_error *err)
{
    if (strlen(path) >= sizeof(peer->address.local.sun_path))
        return wherry_error_set(err, ENAMETOOLONG, "%s", path);
    peer->address.local.sun_family = AF_UNIX;
    strcpy(peer->address.local.sun_path, path);
    peer->length = sizeof(peer->address.local);
    peer->type = type;
    return 0;
}

static int parse_port(const char *text, in_port_t *port)
{
    char *end;
    unsigned long number = strtoul(text, &end, 10);

    *port = htons((uint16_t)number);
    return *text < '0' || *text > '9' || *end != '\0' || number == 0 || number > UINT16_MAX ? -1 : 0;
}

static int parse_address(struct log_peer *peer, const char *place, const char *text, int type, struct wherry_error *err)
{
    char host[INET6_ADDRSTRLEN + 2];
    const char *colon = strrchr(text, ':');
    size_t length = colon == NULL ? sizeof(host) : (size_t)(colon - text);
    in_port_t port;

    peer->type = type;
    if (length >= sizeof(host) || parse_port(colon + 1, &port) < 0)
        return wherry_error_set(err, 0, "log address %s: must be ADDRESS:PORT", place);
    memcpy(host, text, length);
    host[length] = '\0';
    if (*host == '[' && host[length - 1] == ']') {
        host[length - 1] = '\0';
        peer->address.in6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = port};
        peer->length = sizeof(peer->address.in6);
        if (inet_pton(AF_INET6, host + 1, &peer->address.in6.sin6_addr) == 1)
            return 0;
    } else {
        peer->address.in4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = port};
        peer->length = sizeof(peer->address.in4);
        if (inet_pton(AF_INET, host, &peer->address.in4.sin_addr) == 1)
            return 0;
    }
    return wherry_error_set(err, 0, "log address %s: \"%s\" is not an address in numbers", place, host);
}

static int parse_place(struct log_peer *peer, const char *place, struct wherry_error *err)
{
    if (strncmp(place, "unix://", 7) == 0)
        return parse_path(peer, place + 7, SOCK_STREAM, err);
    if (strncmp(place, "unixgram://", 11) == 0)
        return parse_path(peer, place + 11, SOCK_DGRAM, err);
    if (strncmp(place, "udp://", 6) == 0)
        return parse_address(peer, place, place + 6, SOCK_DGRAM, err);
    if (strncmp(place, "tcp://", 6) == 0)
        return parse_address(peer, place, place + 6, SOCK_STREAM, err);
    return wherry_error_set(err, 0, "log address %s: must begin with unix://, unixgram://, udp:// or tcp://", place);
}

static int connect_to(struct log_peer *peer)
{
    struct timeval patience = {.tv_sec = CONNECT_SECONDS}, look = {.tv_usec = SEND_MS * 1000};
    int fd = socket(peer->address.generic.sa_family, peer->type | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    /* socket(7): the bound of a send is that of connect, too */
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    if (connect(fd, &peer->address.generic, peer->length) < 0) {
        int code = errno == EINPROGRESS ? ETIMEDOUT : errno;

        close(fd);
        return -code;
    }
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &look, sizeof(look));
    peer->fd = fd;
    return 0;
}

int log_peer_open(struct log_peer *peer, struct monitor_log *log, const char *place, struct wherry_error *err)
{
    int ret;

    *peer = (struct log_peer){.log = log, .fd = -1};
    ret = parse_place(peer, place, err);
    if (ret < 0)
        return ret;
    ret = connect_to(peer);
    return ret < 0 ? wherry_error_set(err, -ret, "%s", place) : 0;
}

void log_peer_close(struct log_peer *peer)
{
    if (peer->fd >= 0)
        close(peer->fd);
    peer->fd = -1;
}

/* A stream's peer that has gone is found out by the second send only, and the first one's message would be lost. */
static bool has_gone(const struct log_peer *peer)
{
    char byte;

    return peer->type == SOCK_STREAM && recv(peer->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

static bool is_connected(struct log_peer *peer)
{
    uint64_t now;

    if (peer->fd >= 0 && has_gone(peer))
        log_peer_close(peer);
    if (peer->fd >= 0)
        return true;
    now = clock_monotonic_ms();
    if (now < peer->retry_at)
        return false;
    peer->retry_at = now + RETRY_MS;
    return connect_to(peer) == 0;
}

static void advance(struct msghdr *message, size_t sent)
{
    while (message->msg_iovlen > 0 && sent >= message->msg_iov->iov_len) {
        sent -= message->msg_iov->iov_len;
        message->msg_iov++;
        message->msg_iovlen--;
    }
    if (message->msg_iovlen > 0) {
        message->msg_iov->iov_base = (char *)message->msg_iov->iov_base + sent;
        message->msg_iov->iov_len -= sent;
    }
}

/* 0, or -errno: a stream that failed in the middle of a message is of no more use. */
static int send_all(struct log_peer *peer, const struct iovec *parts, size_t count)
{
    struct iovec left[PARTS_MAX];
    struct msghdr message = {.msg_iov = left, .msg_iovlen = count};

    memcpy(left, parts, count * sizeof(*left));
    while (message.msg_iovlen > 0) {
        ssize_t sent = sendmsg(peer->fd, &message, MSG_NOSIGNAL);

        if (sent < 0 && (errno == EINTR || errno == EAGAIN) && !log_queue_is_closing(peer->log->queue))
            continue;
        if (sent < 0)
            return -errno;
        if (peer->type == SOCK_DGRAM)
            return 0;
        advance(&message, (size_t)sent);
    }
    return 0;
}

bool log_peer_send(struct log_peer *peer, const struct iovec *parts, size_t count)
{
    /* Twice: a datagram socket tells of a peer that was made anew by failing once. */
    for (int attempt = 0; attempt < 2; attempt++) {
        if (!is_connected(peer))
            return false;
        if (send_all(peer, parts, count) == 0)
            return true;
        log_peer_close(peer);
    }
    return false;
}
