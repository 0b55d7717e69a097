/* See backlog.h. */
#include "monitor/backlog.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define MEMORY_STEP 4096
#define REFILL (64 * 1024)
#define RESERVE_STEP (4LL * 1024 * 1024)
#define SPARE_PART 20
#define SPARE_MOST (1024ULL * 1024 * 1024)
#define MARGIN (256LL * 1024) /* more than arrives between two looks at backlog_is_full */

void backlog_free(struct backlog *backlog)
{
    free(backlog->memory);
    if (backlog->file >= 0)
        close(backlog->file);
    *backlog = (struct backlog)BACKLOG_INIT;
}

static int64_t in_file(const struct backlog *backlog)
{
    return backlog->written - backlog->taken;
}

int64_t backlog_size(const struct backlog *backlog)
{
    return (int64_t)backlog->length + in_file(backlog);
}

bool backlog_is_full(const struct backlog *backlog)
{
    if (backlog->cramped || backlog->file_max == 0)
        return backlog->length + (size_t)in_file(backlog) >= BACKLOG_MEMORY;
    return in_file(backlog) >= backlog->file_max - MARGIN;
}

static bool make_room(struct backlog *backlog, size_t more)
{
    size_t room = backlog->room == 0 ? MEMORY_STEP : backlog->room;
    uint8_t *larger;

    if (backlog->start > 0) {
        memmove(backlog->memory, backlog->memory + backlog->start, backlog->length);
        backlog->start = 0;
    }
    while (room - backlog->length < more)
        room *= 2;
    if (room == backlog->room)
        return true;
    larger = realloc(backlog->memory, room);
    if (larger == NULL)
        return false;
    backlog->memory = larger;
    backlog->room = room;
    return true;
}

static bool add_to_memory(struct backlog *backlog, const uint8_t header[FRAME_HEADER], const void *payload,
                          size_t length)
{
    uint8_t *end;

    if (backlog->start + backlog->length + FRAME_HEADER + length > backlog->room &&
        !make_room(backlog, FRAME_HEADER + length))
        return false;
    end = backlog->memory + backlog->start + backlog->length;
    memcpy(end, header, FRAME_HEADER);
    if (length > 0)
        memcpy(end + FRAME_HEADER, payload, length);
    backlog->length += FRAME_HEADER + length;
    return true;
}

/* Others live on the disk too: its last part is not for output that nobody reads. */
static bool has_room(int file)
{
    struct statvfs status;
    uint64_t spare;

    if (fstatvfs(file, &status) < 0)
        return true;
    spare = (uint64_t)status.f_blocks * status.f_frsize / SPARE_PART;
    return (uint64_t)status.f_bavail * status.f_frsize >= (spare < SPARE_MOST ? spare : SPARE_MOST);
}

/* A disk that is full shows here, while nothing depends on it yet. What cannot reserve is trusted to have room. */
static void reserve(struct backlog *backlog)
{
    int64_t wanted = backlog->written + MARGIN;

    if (wanted > backlog->file_max)
        wanted = backlog->file_max;
    if (backlog->reserved >= wanted)
        return;
    wanted = backlog->reserved + RESERVE_STEP;
    if (wanted > backlog->file_max)
        wanted = backlog->file_max;
    if (has_room(backlog->file) &&
        (fallocate(backlog->file, 0, backlog->reserved, wanted - backlog->reserved) == 0 || errno == EOPNOTSUPP))
        backlog->reserved = wanted;
    backlog->cramped = backlog->reserved != wanted;
}

static bool open_file(struct backlog *backlog)
{
    if (backlog->file >= 0)
        return true;
    if (backlog->directory < 0 || backlog->file_max == 0)
        return false;
    backlog->file = openat(backlog->directory, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (backlog->file < 0) {
        backlog->cramped = true;
        return false;
    }
    backlog->taken = backlog->written = backlog->reserved = 0;
    reserve(backlog);
    if (backlog->reserved > 0)
        return true;
    close(backlog->file);
    backlog->file = -1;
    return false;
}

/* A position counts the bytes that were ever written; its place in the ring is the rest of a division. */
static bool write_ring(struct backlog *backlog, const void *data, size_t length)
{
    const char *at = data;

    while (length > 0) {
        int64_t place = backlog->written % backlog->file_max;
        size_t piece = length;
        ssize_t written;

        if ((int64_t)piece > backlog->file_max - place)
            piece = (size_t)(backlog->file_max - place);
        written = pwrite(backlog->file, at, piece, place);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return false;
        backlog->written += written;
        at += written;
        length -= (size_t)written;
    }
    return true;
}

static bool read_ring(const struct backlog *backlog, uint8_t *data, size_t length)
{
    for (int64_t position = backlog->taken; length > 0;) {
        int64_t place = position % backlog->file_max;
        size_t piece = length;
        ssize_t got;

        if ((int64_t)piece > backlog->file_max - place)
            piece = (size_t)(backlog->file_max - place);
        got = pread(backlog->file, data, piece, place);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        position += got;
        data += got;
        length -= (size_t)got;
    }
    return true;
}

bool backlog_add(struct backlog *backlog, enum frame_type type, const void *payload, size_t length)
{
    uint8_t header[FRAME_HEADER];

    frame_header_write(header, type, (uint32_t)length);
    if (in_file(backlog) == 0 && (backlog->length < BACKLOG_MEMORY || !open_file(backlog)))
        return add_to_memory(backlog, header, payload, length);
    if (in_file(backlog) + FRAME_HEADER + (int64_t)length > backlog->file_max)
        return false;
    if (!write_ring(backlog, header, FRAME_HEADER) || !write_ring(backlog, payload, length))
        return false;
    reserve(backlog);
    return true;
}

static void release_file(struct backlog *backlog)
{
    close(backlog->file); /* it has no name: its space is free */
    backlog->file = -1;
    backlog->taken = backlog->written = backlog->reserved = 0;
    backlog->cramped = false;
}

/* Whole frames from the file into the memory, which is empty. */
static bool refill(struct backlog *backlog)
{
    int64_t waiting = in_file(backlog);
    size_t length = waiting < REFILL ? (size_t)waiting : REFILL, whole = 0;

    if (length == 0)
        return true;
    if (!make_room(backlog, length) || !read_ring(backlog, backlog->memory, length))
        return false;
    while (length - whole >= FRAME_HEADER) {
        size_t frame = FRAME_HEADER + frame_u32(backlog->memory + whole + 4);

        if (frame > length - whole)
            break;
        whole += frame;
    }
    backlog->length = whole;
    backlog->taken += (int64_t)whole;
    if (in_file(backlog) == 0)
        release_file(backlog);
    return whole > 0;
}

/* `sent` bytes have gone: finds out how much of the last frame among them is missing. */
static void advance(struct backlog *backlog, size_t sent)
{
    const uint8_t *at = backlog->memory + backlog->start;
    size_t left = sent;

    while (left > 0) {
        if (backlog->begun == 0)
            backlog->begun = FRAME_HEADER + frame_u32(at + 4);
        if (left < backlog->begun) {
            backlog->begun -= left;
            break;
        }
        left -= backlog->begun;
        at += backlog->begun;
        backlog->begun = 0;
    }
    backlog->start += sent;
    backlog->length -= sent;
    if (backlog->length > 0)
        return;
    free(backlog->memory); /* a monitor is small while nobody looks */
    backlog->memory = NULL;
    backlog->start = backlog->room = 0;
}

int64_t backlog_flush(struct backlog *backlog, int socket)
{
    int64_t total = 0;

    while (backlog_size(backlog) > 0) {
        ssize_t sent;

        if (backlog->length == 0 && !refill(backlog))
            return -1;
        sent = send(socket, backlog->memory + backlog->start, backlog->length, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && errno == EAGAIN)
            break;
        if (sent < 0)
            return -1;
        advance(backlog, (size_t)sent);
        total += sent;
    }
    return total;
}

void backlog_drop(struct backlog *backlog)
{
    if (backlog->file >= 0)
        release_file(backlog);
    backlog->length = backlog->begun;
    if (backlog->length == 0) {
        free(backlog->memory);
        backlog->memory = NULL;
        backlog->start = backlog->room = 0;
    }
}
