/*
 * linux.seccomp: any profile is compiled or refused, and the filter that is installed, which is shorter than
 * libseccomp's, gives the same answer as libseccomp's to every system call that is tried.
 */
#include "runtime/seccomp_rules.h"
#include "wherry/cleanup.h"
#include "wherry/json.h"
#include "wherry/seccomp.h"

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define X32 0x40000000

const char *__asan_default_options(void);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* libseccomp (2.5.4) itself loses rules that it finds twice; what the runtime loses, the C tests see. */
const char *__asan_default_options(void)
{
    return "detect_leaks=0";
}

/* As libseccomp writes it, as a tree: its list (2.5.4) forgets to load the number where the first rule is for a call
 * that the architecture has not got. */
static bool compile_plainly(struct json_object *profile, struct wherry_seccomp *out)
{
    struct wherry_error err = WHERRY_ERROR_INIT;
    cleanup_close int fd = memfd_create("plain", MFD_CLOEXEC);
    scmp_filter_ctx context;
    uint32_t action = 0;
    unsigned flags = 0;
    struct stat status;
    bool good = false, notifies = false;

    if (seccomp_rules_default(profile, &action, &err) < 0 || (context = seccomp_init(action)) == NULL)
        return false;
    if (seccomp_rules_architectures(profile, context, &err) >= 0 && seccomp_rules_flags(profile, &flags, &err) >= 0 &&
        seccomp_rules_syscalls(profile, action, context, &notifies, &err) >= 0 &&
        seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, 2) >= 0 && seccomp_export_bpf(context, fd) == 0 &&
        fstat(fd, &status) == 0) {
        out->filter = malloc((size_t)status.st_size);
        out->length = (unsigned short)((size_t)status.st_size / sizeof(*out->filter));
        good = out->filter != NULL && pread(fd, out->filter, (size_t)status.st_size, 0) == status.st_size;
    }
    seccomp_release(context);
    return good;
}

static void compare(const struct wherry_seccomp *one, const struct wherry_seccomp *other, struct seccomp_data *call)
{
    uint32_t first = wherry_seccomp_answer(one, call), second = wherry_seccomp_answer(other, call);

    if (first == second)
        return;
    fprintf(stderr, "call %d of %x with %llx %llx: %x and %x\n", call->nr, call->arch,
            (unsigned long long)call->args[0], (unsigned long long)call->args[1], first, second);
    abort();
}

/* Every number of every architecture, with arguments of which some are in the profile. */
static void compare_all(const struct wherry_seccomp *one, const struct wherry_seccomp *other, const uint8_t *data,
                        size_t size)
{
    static const uint32_t architectures[] = {AUDIT_ARCH_X86_64, AUDIT_ARCH_I386, AUDIT_ARCH_AARCH64, AUDIT_ARCH_ARM, 0,
                                             UINT32_MAX};
    struct seccomp_data call = {0};

    for (size_t i = 0; i < sizeof(architectures) / sizeof(architectures[0]); i++) {
        call.arch = architectures[i];
        for (int number = -2; number < 480; number++) {
            for (size_t argument = 0; argument < 6; argument++)
                call.args[argument] = size > 0 ? (uint64_t)data[((size_t)number + argument * 7) % size] : 0;
            call.nr = number;
            compare(one, other, &call);
            call.nr = number | X32;
            compare(one, other, &call);
            call.args[0] |= UINT64_C(0x7e02000000000000) | (uint64_t)number << 32;
            compare(one, other, &call);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wherry_error err = WHERRY_ERROR_INIT;
    cleanup_json struct json_object *profile = wherry_json_parse((const char *)data, size, "fuzz", &err);
    struct wherry_seccomp filter = WHERRY_SECCOMP_INIT, plain = WHERRY_SECCOMP_INIT;

    if (profile == NULL)
        return 0;
    if (wherry_seccomp_compile(profile, NULL, &filter, &err) < 0) {
        if (err.message[0] == '\0')
            abort();
        return 0;
    }
    if (compile_plainly(profile, &plain))
        compare_all(&filter, &plain, data, size);
    wherry_seccomp_free(&filter);
    wherry_seccomp_free(&plain);
    return 0;
}
