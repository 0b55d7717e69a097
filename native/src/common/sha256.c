/* SHA-256; see wherry/sha256.h. Source: FIPS 180-4, sections 4.1.2, 4.2.2, 5.1.1 and 6.2. */
#include "wherry/sha256.h"

#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#if defined(__GLIBC_PREREQ) && __GLIBC_PREREQ(2, 33)
#include <sys/platform/x86.h>
#endif
#endif

#define BLOCK 64

static const uint32_t k[64] __attribute__((aligned(16))) = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t rotate(uint32_t word, unsigned bits)
{
    return word >> bits | word << (32 - bits);
}

static void compress_plain(uint32_t state[8], const uint8_t *data, size_t blocks)
{
    for (; blocks > 0; blocks--, data += BLOCK) {
        uint32_t w[64], s[8];

        for (unsigned i = 0; i < 16; i++)
            w[i] = (uint32_t)data[4 * i] << 24 | (uint32_t)data[4 * i + 1] << 16 | (uint32_t)data[4 * i + 2] << 8 |
                   data[4 * i + 3];
        for (unsigned i = 16; i < 64; i++) {
            uint32_t s0 = rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ w[i - 15] >> 3;
            uint32_t s1 = rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ w[i - 2] >> 10;

            w[i] = w[i - 16] + s0 + w[i - 7] + s1;
        }
        memcpy(s, state, sizeof(s));
        for (unsigned i = 0; i < 64; i++) {
            uint32_t e1 = rotate(s[4], 6) ^ rotate(s[4], 11) ^ rotate(s[4], 25);
            uint32_t t1 = s[7] + e1 + ((s[4] & s[5]) ^ (~s[4] & s[6])) + k[i] + w[i];
            uint32_t e0 = rotate(s[0], 2) ^ rotate(s[0], 13) ^ rotate(s[0], 22);
            uint32_t t2 = e0 + ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));

            memmove(s + 1, s, 7 * sizeof(s[0]));
            s[4] += t1;
            s[0] = t1 + t2;
        }
        for (unsigned i = 0; i < 8; i++)
            state[i] += s[i];
    }
}

#if defined(__x86_64__)
/* The instructions keep the state as the two vectors ABEF and CDGH, and do two rounds each. */
__attribute__((target("sha,sse4.1"))) static void compress_x86(uint32_t state[8], const uint8_t *data, size_t blocks)
{
    const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0bLL, 0x0405060700010203LL);
    __m128i dcba = _mm_loadu_si128((const __m128i *)state), hgfe = _mm_loadu_si128((const __m128i *)(state + 4));
    __m128i cdab = _mm_shuffle_epi32(dcba, 0xb1), efgh = _mm_shuffle_epi32(hgfe, 0x1b);
    __m128i abef = _mm_alignr_epi8(cdab, efgh, 8), cdgh = _mm_blend_epi16(efgh, cdab, 0xf0);

    for (; blocks > 0; blocks--, data += BLOCK) {
        __m128i abef_before = abef, cdgh_before = cdgh, w[4];

        for (unsigned i = 0; i < 16; i++) {
            __m128i words;

            if (i < 4) {
                w[i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(data + (size_t)16 * i)), swap);
            } else {
                /* The next four words of the schedule, from the sixteen before them. */
                __m128i sum = _mm_sha256msg1_epu32(w[i & 3], w[(i + 1) & 3]);

                sum = _mm_add_epi32(sum, _mm_alignr_epi8(w[(i + 3) & 3], w[(i + 2) & 3], 4));
                w[i & 3] = _mm_sha256msg2_epu32(sum, w[(i + 3) & 3]);
            }
            words = _mm_add_epi32(w[i & 3], _mm_load_si128((const __m128i *)(k + (size_t)4 * i)));
            cdgh = _mm_sha256rnds2_epu32(cdgh, abef, words);
            abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(words, 0x0e));
        }
        abef = _mm_add_epi32(abef, abef_before);
        cdgh = _mm_add_epi32(cdgh, cdgh_before);
    }
    cdab = _mm_shuffle_epi32(abef, 0x1b);
    efgh = _mm_shuffle_epi32(cdgh, 0xb1);
    _mm_storeu_si128((__m128i *)state, _mm_blend_epi16(cdab, efgh, 0xf0));
    _mm_storeu_si128((__m128i *)(state + 4), _mm_alignr_epi8(efgh, cdab, 8));
}
#endif

static void compress(struct wherry_sha256 *sha, const uint8_t *data, size_t blocks)
{
#if defined(__x86_64__)
    if (sha->accelerated) {
        compress_x86(sha->state, data, blocks);
        return;
    }
#endif
    compress_plain(sha->state, data, blocks);
}

/* Of the C library, which has asked at its start: in a virtual machine the instruction costs an exit to the hypervisor.
 */
static bool has_instructions(void)
{
    /* Every processor that has them has SSE4.1. */
#if defined(__x86_64__) && defined(CPU_FEATURE_PRESENT)
    return CPU_FEATURE_PRESENT(SHA);
#elif defined(__x86_64__)
    unsigned a, b, c, d;

    return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (b & bit_SHA) != 0;
#else
    return false;
#endif
}

void wherry_sha256_init(struct wherry_sha256 *sha)
{
    *sha = (struct wherry_sha256){
        .state = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19},
        .accelerated = has_instructions(),
    };
}

void wherry_sha256_update(struct wherry_sha256 *sha, const void *data, size_t length)
{
    const uint8_t *at = data;
    size_t used = sha->length % BLOCK;

    sha->length += length;
    if (used > 0) {
        size_t part = length < BLOCK - used ? length : BLOCK - used;

        memcpy(sha->block + used, at, part);
        at += part;
        length -= part;
        if (used + part < BLOCK)
            return;
        compress(sha, sha->block, 1);
    }
    if (length >= BLOCK)
        compress(sha, at, length / BLOCK);
    if (length % BLOCK > 0)
        memcpy(sha->block, at + length / BLOCK * BLOCK, length % BLOCK);
}

void wherry_sha256_final(struct wherry_sha256 *sha, uint8_t digest[WHERRY_SHA256_SIZE])
{
    static const uint8_t padding[BLOCK] = {0x80};
    uint64_t bits = sha->length * 8;
    uint8_t length[8];

    for (unsigned i = 0; i < 8; i++)
        length[i] = (uint8_t)(bits >> (56 - 8 * i));
    /* Up to 8 bytes before the end of a block; the length fills it. */
    wherry_sha256_update(sha, padding, 1 + (BLOCK + 55 - sha->length % BLOCK) % BLOCK);
    wherry_sha256_update(sha, length, sizeof(length));
    for (unsigned i = 0; i < WHERRY_SHA256_SIZE; i++)
        digest[i] = (uint8_t)(sha->state[i / 4] >> (24 - 8 * (i % 4)));
}

void wherry_sha256_text(const uint8_t digest[WHERRY_SHA256_SIZE], char text[WHERRY_SHA256_TEXT_SIZE])
{
    static const char digits[] = "0123456789abcdef";

    for (unsigned i = 0; i < WHERRY_SHA256_SIZE; i++) {
        text[2 * i] = digits[digest[i] >> 4];
        text[2 * i + 1] = digits[digest[i] & 15];
    }
    text[2 * WHERRY_SHA256_SIZE] = '\0';
}
