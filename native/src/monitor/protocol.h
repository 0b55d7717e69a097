/*
 * Frames between a monitor and its clients; docs/internals.md, "The monitor", says what each carries and who sends it.
 * A frame is a header of eight bytes (type, three zero bytes, payload length in network order) and its payload.
 */
#pragma once

#include <stdint.h>

enum frame_type {
    FRAME_STDIN = 0,
    FRAME_STDOUT = 1,
    FRAME_STDERR = 2,
    FRAME_STDIN_CLOSE = 3,
    FRAME_RESIZE = 4,
    FRAME_ATTACH = 5,
    FRAME_ATTACHED = 6,
    FRAME_SUBSCRIBE = 7,
    FRAME_STATE = 8,
    FRAME_START = 9,
    FRAME_SIGNAL = 10,
    FRAME_STOPPING = 11,
    FRAME_POLICY = 12,
    FRAME_OK = 13,
    FRAME_ERROR = 14,
    FRAME_QUIT = 15,
    FRAME_ROTATE = 16,
    FRAME_CUT = 17,
};

#define FRAME_HEADER 8
#define FRAME_PAYLOAD_MAX (64 * 1024) /* of a frame that a client sends; a longer one ends the connection */

enum attach_flag {
    ATTACH_STDIN = 1,
    ATTACH_STDOUT = 2,
    ATTACH_STDERR = 4,
};

static inline void frame_header_write(uint8_t header[FRAME_HEADER], enum frame_type type, uint32_t length)
{
    header[0] = (uint8_t)type;
    header[1] = header[2] = header[3] = 0;
    header[4] = (uint8_t)(length >> 24);
    header[5] = (uint8_t)(length >> 16);
    header[6] = (uint8_t)(length >> 8);
    header[7] = (uint8_t)length;
}

static inline uint32_t frame_u32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}
