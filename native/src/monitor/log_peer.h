/*
 * A socket that log entries are sent to, made anew when the peer went away. It is used by the log's thread alone, and
 * may wait for a peer that is slow; one that is away costs the entry.
 */
#pragma once

#include "monitor/log.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

struct log_peer {
    struct monitor_log *log;
    union {
        struct sockaddr generic;
        struct sockaddr_un local;
        struct sockaddr_in in4;
        struct sockaddr_in6 in6;
    } address;
    socklen_t length;
    int type; /* SOCK_STREAM, SOCK_DGRAM */
    int fd;
    uint64_t retry_at; /* not before that moment (clock_monotonic_ms) */
};

/* Reads "unix:///path", "unixgram:///path", "udp://ADDRESS:PORT" or "tcp://ADDRESS:PORT", ADDRESS being a number
 * ([…] for IPv6), and connects. */
int log_peer_open(struct log_peer *peer, struct monitor_log *log, const char *place, struct wherry_error *err);
void log_peer_close(struct log_peer *peer);

/* Sends one message whole; false when it is lost. */
bool log_peer_send(struct log_peer *peer, const struct iovec *parts, size_t count);
