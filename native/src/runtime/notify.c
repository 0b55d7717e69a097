/* Readiness of the container's program, told to who waits for it on the host; see notify.h. */
#include "notify.h"

#include "wherry/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#define SOCKET_NAME "notify.sock"
#define INSIDE "/run/notify"
#define READY "READY=1"

const char *wherry_notify_host(void)
{
    const char *host = getenv("NOTIFY_SOCKET");

    return host != NULL && (host[0] == '/' || host[0] == '@') && host[1] != '\0' ? host : NULL;
}

int wherry_notify_prepare(const struct wherry_container *container, const char *root, struct wherry_spec *spec,
                          struct wherry_error *err)
{
    const char *source = wherry_arena_format(&spec->arena, "%s/%s/" WHERRY_NOTIFY_DIRECTORY, root, container->id);
    const struct wherry_namespace *mounts = wherry_spec_namespace(spec, CLONE_NEWNS);

    /* Where another's mounts are joined, or the host's are shared, nothing can be shown to this one alone. */
    if (mounts == NULL || mounts->path != NULL || !spec->has_process)
        return 0;
    if (source == NULL)
        return wherry_error_set(err, ENOMEM, "NOTIFY_SOCKET");
    /* Searchable and connectable for whichever user the process is, past the caller's umask. */
    if (mkdirat(container->directory, WHERRY_NOTIFY_DIRECTORY, 0755) < 0 ||
        fchmodat(container->directory, WHERRY_NOTIFY_DIRECTORY, 0755, 0) < 0)
        return wherry_error_set(err, errno, "make %s", source);
    if (wherry_spec_add_bind(spec, source, INSIDE, err) < 0)
        return -1;
    if (wherry_process_add_variable(&spec->process, &spec->arena, "NOTIFY_SOCKET=" INSIDE "/" SOCKET_NAME, err) < 0)
        return -1;
    return 1;
}

int wherry_notify_listen(int directory, struct wherry_error *err)
{
    cleanup_close int place = openat(directory, WHERRY_NOTIFY_DIRECTORY, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    cleanup_close int fd = -1;

    if (place < 0)
        return wherry_error_set(err, errno, "open " WHERRY_NOTIFY_DIRECTORY);
    /* By the descriptor: a record's path may be longer than an address can be. */
    snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/" SOCKET_NAME, place);
    unlinkat(place, SOCKET_NAME, 0);
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
        fchmodat(place, SOCKET_NAME, 0777, 0) < 0)
        return wherry_error_set(err, errno, "make the container's NOTIFY_SOCKET");
    return wherry_steal_fd(&fd);
}

static bool says_ready(const char *text)
{
    for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, READY, strlen(READY)) == 0 && strchr("\n", line[strlen(READY)]) != NULL)
            return true;
    }
    return false;
}

/* Whether one of the messages that are there says so. */
static bool hears_ready(int fd)
{
    char text[4096];
    ssize_t length;

    while ((length = recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT)) >= 0) {
        text[length] = '\0';
        if (says_ready(text))
            return true;
    }
    return false;
}

static int tell(const char *host, const char *text, struct wherry_error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    cleanup_close int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    size_t length = strlen(host);

    if (length >= sizeof(address.sun_path))
        return wherry_error_set(err, ENAMETOOLONG, "NOTIFY_SOCKET");
    memcpy(address.sun_path, host, length);
    if (host[0] == '@')
        address.sun_path[0] = '\0';
    length += offsetof(struct sockaddr_un, sun_path) + (host[0] == '/');
    if (fd < 0 || sendto(fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&address, (socklen_t)length) < 0)
        return wherry_error_set(err, errno, "NOTIFY_SOCKET: send to %s", host);
    return 0;
}

int wherry_notify_relay(int socket, pid_t pid, bool announced, const char *host, struct wherry_error *err)
{
    cleanup_close int process = (int)syscall(SYS_pidfd_open, pid, 0);
    struct pollfd polls[] = {{.fd = socket, .events = POLLIN}, {.fd = process, .events = POLLIN}};
    char text[32];

    for (;;) {
        if (process >= 0 && poll(polls, 2, -1) < 0 && errno != EINTR)
            return wherry_error_set(err, errno, "wait for the container's readiness");
        /* Looked at first: its last word before it ended may be this. */
        if (hears_ready(socket))
            break;
        if (process < 0 || polls[1].revents != 0)
            return 0;
    }
    if (tell(host, READY, err) < 0)
        return -1;
    snprintf(text, sizeof(text), "MAINPID=%d", (int)pid);
    return announced ? tell(host, text, err) : 0;
}

struct relay {
    int socket;
    pid_t pid;
    const char *host;
};

static void *relay_thread(void *argument)
{
    struct relay *relay = argument;
    struct wherry_error ignored = WHERRY_ERROR_INIT;

    wherry_notify_relay(relay->socket, relay->pid, false, relay->host, &ignored);
    close(relay->socket);
    free(relay);
    return NULL;
}

void wherry_notify_relay_beside(int socket, pid_t pid, const char *host)
{
    struct relay *relay = malloc(sizeof(*relay));
    pthread_t thread;

    if (relay != NULL)
        *relay = (struct relay){.socket = socket, .pid = pid, .host = host};
    if (relay == NULL || pthread_create(&thread, NULL, relay_thread, relay) != 0) {
        free(relay);
        close(socket);
        return;
    }
    pthread_detach(thread);
}

void wherry_notify_remove(int directory)
{
    unlinkat(directory, WHERRY_NOTIFY_DIRECTORY "/" SOCKET_NAME, 0);
    unlinkat(directory, WHERRY_NOTIFY_DIRECTORY, AT_REMOVEDIR);
}
