/* gzip by ISA-L's igzip, loaded when the host has it: nothing is linked against it, so nothing depends on it. */
#include "layer/decoder.h"

#if __has_include(<isa-l/igzip_lib.h>)

#include <dlfcn.h>
#include <errno.h>
#include <isa-l/igzip_lib.h>
#include <stdlib.h>

#define LIBRARY "libisal.so.2" /* the version whose structures the header describes */

struct isal_functions {
    void *library;
    void (*init)(struct inflate_state *);
    void (*reset)(struct inflate_state *);
    int (*inflate)(struct inflate_state *);
};

struct isal_decoder {
    struct wherry_decoder base;
    struct isal_functions call;
    struct inflate_state state;
};

static void free_isal(struct wherry_decoder *decoder)
{
    struct isal_decoder *isal = (struct isal_decoder *)decoder;

    dlclose(isal->call.library);
    free(isal);
}

static int step_isal(struct wherry_decoder *decoder, struct wherry_decoder_io *io, struct wherry_error *err)
{
    struct isal_decoder *isal = (struct isal_decoder *)decoder;
    struct inflate_state *state = &isal->state;
    int ret;

    if (decoder->whole && io->in_length > 0) {
        ret = wherry_decoder_next_gzip_member(decoder, io, err);
        if (ret <= 0)
            return ret;
        isal->call.reset(state);
        state->crc_flag = ISAL_GZIP;
        decoder->whole = false;
    }
    state->next_in = (uint8_t *)(uintptr_t)io->in;
    state->avail_in = (uint32_t)io->in_length;
    state->next_out = io->out;
    state->avail_out = (uint32_t)io->out_room;
    ret = isal->call.inflate(state);
    if (ret < 0 || ret > ISAL_END_INPUT)
        return wherry_error_set(err, EBADMSG, "gzip: malformed (%d)", ret);
    io->in = state->next_in;
    io->in_length = state->avail_in;
    io->out = state->next_out;
    io->out_room = state->avail_out;
    decoder->whole = state->block_state == ISAL_BLOCK_FINISH;
    return 0;
}

static int load(struct isal_functions *call)
{
    call->library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (call->library == NULL)
        return -ENOENT;
    /* POSIX gives dlsym's result this way round (dlsym(3), "Notes"). */
    *(void **)&call->init = dlsym(call->library, "isal_inflate_init");
    *(void **)&call->reset = dlsym(call->library, "isal_inflate_reset");
    *(void **)&call->inflate = dlsym(call->library, "isal_inflate");
    if (call->init != NULL && call->reset != NULL && call->inflate != NULL)
        return 0;
    dlclose(call->library);
    return -ENOENT;
}

struct wherry_decoder *wherry_decoder_isal(void)
{
    struct isal_decoder *isal = calloc(1, sizeof(*isal));

    if (isal == NULL || load(&isal->call) < 0) {
        free(isal);
        return NULL;
    }
    isal->call.init(&isal->state);
    isal->state.crc_flag = ISAL_GZIP;
    isal->base.step = step_isal;
    isal->base.free = free_isal;
    return &isal->base;
}

#else

struct wherry_decoder *wherry_decoder_isal(void)
{
    return NULL;
}

#endif
