/* See streams.h. */
#include "monitor/streams.h"

#include "wherry/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define CONSOLE_WAIT_MS 1000 /* the runtime has ended by then, so the terminal is in the socket or never comes */

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static int make_pipe(int *ours, int *theirs, bool we_read, struct wherry_error *err)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0)
        return wherry_error_set(err, errno, "make a pipe");
    *ours = ends[we_read ? 0 : 1];
    *theirs = ends[we_read ? 1 : 0];
    /* Only our end: a container that finds its stdout non-blocking loses output. */
    if (fcntl(*ours, F_SETFL, O_NONBLOCK) < 0)
        return wherry_error_set(err, errno, "make a pipe non-blocking");
    return 0;
}

/* A unix socket's path holds 107 bytes (unix(7)) and state directories are longer: by way of the directory's
 * descriptor. */
static int listen_for_console(int state_dir, struct wherry_error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    cleanup_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return wherry_error_set(err, errno, "console socket");
    snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/%s", state_dir, CONSOLE_SOCKET);
    unlinkat(state_dir, CONSOLE_SOCKET, 0);
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 1) < 0)
        return wherry_error_set(err, errno, "console socket");
    return wherry_steal_fd(&fd);
}

int container_stdio_open(struct container_stdio *stdio, int state_dir, bool tty, bool input, struct wherry_error *err)
{
    int ret;

    *stdio = (struct container_stdio)CONTAINER_STDIO_INIT;
    if (tty) {
        stdio->listener = listen_for_console(state_dir, err);
        return stdio->listener < 0 ? stdio->listener : 0;
    }
    ret = make_pipe(&stdio->output, &stdio->child[1], true, err);
    if (ret == 0)
        ret = make_pipe(&stdio->error, &stdio->child[2], true, err);
    if (ret == 0 && input)
        ret = make_pipe(&stdio->input, &stdio->child[0], false, err);
    return ret;
}

/* The one message of the console protocol: a descriptor in SCM_RIGHTS. */
static int receive_console(int listener, struct wherry_error *err)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    char name[256];
    struct iovec data = {.iov_base = name, .iov_len = sizeof(name)};
    struct msghdr message = {
        .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
    struct pollfd ready = {.fd = listener, .events = POLLIN};
    struct cmsghdr *header;
    cleanup_close int sender = -1;
    int fd;

    if (poll(&ready, 1, CONSOLE_WAIT_MS) == 1)
        sender = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (sender < 0)
        return wherry_error_set(err, 0, "the runtime sent no terminal");
    if (recvmsg(sender, &message, MSG_CMSG_CLOEXEC) < 0)
        return wherry_error_set(err, errno, "receive the terminal");
    header = CMSG_FIRSTHDR(&message);
    if (header == NULL || header->cmsg_type != SCM_RIGHTS || header->cmsg_len != CMSG_LEN(sizeof(int)))
        return wherry_error_set(err, EBADMSG, "receive the terminal");
    memcpy(&fd, CMSG_DATA(header), sizeof(fd));
    if (fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK) < 0) {
        close(fd);
        return wherry_error_set(err, errno, "make the terminal non-blocking");
    }
    return fd;
}

int container_stdio_started(struct container_stdio *stdio, int state_dir, bool tty, struct wherry_error *err)
{
    for (int i = 0; i < 3; i++)
        close_fd(&stdio->child[i]);
    if (!tty)
        return 0;
    stdio->output = receive_console(stdio->listener, err);
    close_fd(&stdio->listener);
    unlinkat(state_dir, CONSOLE_SOCKET, 0);
    if (stdio->output < 0)
        return stdio->output;
    stdio->input = fcntl(stdio->output, F_DUPFD_CLOEXEC, 3);
    return stdio->input < 0 ? wherry_error_set(err, errno, "duplicate the terminal") : 0;
}

void container_stdio_close(struct container_stdio *stdio)
{
    for (int i = 0; i < 3; i++)
        close_fd(&stdio->child[i]);
    close_fd(&stdio->output);
    close_fd(&stdio->error);
    close_fd(&stdio->input);
    close_fd(&stdio->listener);
    free(stdio->queue);
    stdio->queue = NULL;
    stdio->queued = 0;
    stdio->input_ends = stdio->input_done = false;
}

/* As much as the queue takes now; 0 when it is full or memory is out. */
static size_t enqueue(struct container_stdio *stdio, const char *data, size_t length)
{
    size_t room = STDIN_QUEUE_MAX - stdio->queued;

    if (stdio->queue == NULL)
        stdio->queue = malloc(STDIN_QUEUE_MAX);
    if (stdio->queue == NULL)
        return 0;
    if (length > room)
        length = room;
    memcpy(stdio->queue + stdio->queued, data, length);
    stdio->queued += length;
    return length;
}

size_t container_stdio_feed(struct container_stdio *stdio, const void *data, size_t length)
{
    size_t taken = 0, more = 1;

    /* Until the queue stays full: what is not taken is asked for again when the container takes something, so there
     * must be something that it has yet to take. */
    while (taken < length && more > 0) {
        /* A terminal that is yet to come takes what is typed ahead. */
        if ((stdio->input < 0 && stdio->listener < 0) || stdio->input_ends || stdio->input_done)
            return length;
        more = enqueue(stdio, (const char *)data + taken, length - taken);
        taken += more;
        container_stdio_flush(stdio);
    }
    return taken;
}

void container_stdio_flush(struct container_stdio *stdio)
{
    if (stdio->input < 0)
        return;
    while (stdio->queued > 0) {
        ssize_t written = write(stdio->input, stdio->queue, stdio->queued);

        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0 && errno == EAGAIN)
            return;
        if (written < 0) { /* the container closed its stdin: nobody will read the rest */
            stdio->queued = 0;
            stdio->input_done = true;
            break;
        }
        stdio->queued -= (size_t)written;
        memmove(stdio->queue, stdio->queue + written, stdio->queued);
    }
    free(stdio->queue); /* idle again: a monitor is small while nobody types */
    stdio->queue = NULL;
    if (stdio->input_ends)
        stdio->input_done = true;
}

void container_stdio_close_input(struct container_stdio *stdio)
{
    close_fd(&stdio->input);
    stdio->input_done = false;
}
