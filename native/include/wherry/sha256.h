/*
 * SHA-256 as in FIPS 180-4. By the processor's own instructions where it has them (x86 SHA), else in plain C.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WHERRY_SHA256_SIZE 32
#define WHERRY_SHA256_TEXT_SIZE 65 /* 64 hexadecimal digits and NUL */

struct wherry_sha256 {
    uint32_t state[8];
    uint64_t length; /* bytes taken in */
    uint8_t block[64];
    bool accelerated; /* false makes the plain C do the work */
};

void wherry_sha256_init(struct wherry_sha256 *sha);
void wherry_sha256_update(struct wherry_sha256 *sha, const void *data, size_t length);
void wherry_sha256_final(struct wherry_sha256 *sha, uint8_t digest[WHERRY_SHA256_SIZE]);

/* Lower-case hexadecimal digits. */
void wherry_sha256_text(const uint8_t digest[WHERRY_SHA256_SIZE], char text[WHERRY_SHA256_TEXT_SIZE]);
