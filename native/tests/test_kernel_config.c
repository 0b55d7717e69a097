/* Reading kernel configurations, and what the check makes of them. */
#include "check.h"

#include "kernel/kernel_config.h"
#include "kernel/kernel_modules.h"
#include "kernel/kernel_options.h"
#include "wherry/json.h"
#include "wherry/kernel.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <zlib.h>

static const char sample[] = "#\n# Automatically generated file; DO NOT EDIT.\n"
                             "# Linux/x86 6.1.90 Kernel Configuration\n#\n"
                             "CONFIG_NAMESPACES=y\nCONFIG_OVERLAY_FS=m\n# CONFIG_MACVLAN is not set\n"
                             "CONFIG_LOCALVERSION=\"-test\"\nCONFIG_TWICE=y\nCONFIG_TWICE=n\nCONFIG_VETH=y\r\n"
                             "CONFIG_NF_TABLES=m\nCONFIG_LAST=y";

static size_t gzip(const void *data, size_t length, unsigned char *out, size_t size)
{
    z_stream stream = {.next_in = (Bytef *)(uintptr_t)data, .avail_in = (uInt)length};

    CHECK(deflateInit2(&stream, 9, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    stream.next_out = out;
    stream.avail_out = (uInt)size;
    CHECK(deflate(&stream, Z_FINISH) == Z_STREAM_END);
    deflateEnd(&stream);
    return size - stream.avail_out;
}

static void check_sample(const void *data, size_t length)
{
    struct wherry_error err = WHERRY_ERROR_INIT;
    cleanup_kernel_config struct kernel_config config = KERNEL_CONFIG_INIT;

    CHECK_OK(kernel_config_parse(data, length, "sample", &config, &err), err);
    CHECK_TEXT(config.version, "6.1.90");
    CHECK_TEXT(kernel_config_get(&config, "CONFIG_NAMESPACES"), "y");
    CHECK_TEXT(kernel_config_get(&config, "CONFIG_OVERLAY_FS"), "m");
    CHECK_TEXT(kernel_config_get(&config, "CONFIG_VETH"), "y");
    CHECK_TEXT(kernel_config_get(&config, "CONFIG_LAST"), "y");
    CHECK(kernel_config_get(&config, "CONFIG_MACVLAN") == NULL);
    CHECK(kernel_config_get(&config, "CONFIG_TWICE") == NULL);
    CHECK(kernel_config_get(&config, "CONFIG_NEVER") == NULL);
}

static void plain_and_gzip_are_told_apart_by_content(void)
{
    unsigned char packed[4096];

    check_sample(sample, sizeof(sample) - 1);
    check_sample(packed, gzip(sample, sizeof(sample) - 1, packed, sizeof(packed)));
}

static void what_is_no_configuration_is_refused(void)
{
    struct wherry_error err = WHERRY_ERROR_INIT;
    struct kernel_config config;
    unsigned char packed[4096];
    size_t length = gzip(sample, sizeof(sample) - 1, packed, sizeof(packed));

    CHECK_FAILS(kernel_config_parse("", 0, "empty", &config, &err), err, "empty: not a kernel configuration");
    CHECK_FAILS(kernel_config_parse("\x7f"
                                    "ELF\0\0\n",
                                    7, "binary", &config, &err),
                err, "binary: not a kernel configuration");
    CHECK_FAILS(kernel_config_parse(packed, length / 2, "half", &config, &err), err, "half: damaged gzip data");
    packed[length / 2] ^= 0x55;
    CHECK_FAILS(kernel_config_parse(packed, length, "flipped", &config, &err), err, "flipped: damaged gzip data");
}

static void a_bomb_stops_at_the_bound(void)
{
    struct wherry_error err = WHERRY_ERROR_INIT;
    struct kernel_config config;
    size_t size = (size_t)64 << 20;
    char *zeros = calloc(1, size);
    unsigned char *packed = malloc(1 << 20);
    size_t length = gzip(zeros, size, packed, 1 << 20);

    CHECK_FAILS(kernel_config_parse(packed, length, "bomb", &config, &err), err, "larger than 8388608 bytes");
    CHECK_FAILS(kernel_config_parse(zeros, size, "large", &config, &err), err, "larger than 8388608 bytes");
    free(zeros);
    free(packed);
}

static const struct wherry_kernel_finding *finding(const struct wherry_kernel_report *report, const char *name)
{
    for (size_t i = 0; i < report->count; i++) {
        if (strcmp(report->findings[i].name, name) == 0)
            return &report->findings[i];
    }
    return NULL;
}

static bool has_state(const struct wherry_kernel_report *report, const char *name, enum wherry_kernel_state state)
{
    const struct wherry_kernel_finding *found = finding(report, name);

    return found != NULL && found->state == state;
}

/* Writes `text` to a file and checks it as the configuration of `version` (NULL: as its header says). */
static void check_text(const char *text, const char *version, struct wherry_kernel_report *report)
{
    struct wherry_error err = WHERRY_ERROR_INIT;
    char path[] = "/tmp/wherry-test-XXXXXX";
    const struct wherry_kernel_options options = {.config_file = path, .version = version};
    int fd = mkstemp(path);

    CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
    CHECK_OK(wherry_kernel_check(&options, report, &err), err);
    unlink(path);
}

static void a_given_file_is_judged_without_probing_this_host(void)
{
    struct wherry_kernel_report report;

    check_text(sample, NULL, &report);
    CHECK(!report.live);
    CHECK_TEXT(report.release, "6.1.90");
    CHECK(has_state(&report, "CONFIG_NAMESPACES", WHERRY_KERNEL_BUILT_IN));
    CHECK(has_state(&report, "CONFIG_OVERLAY_FS", WHERRY_KERNEL_MODULE));
    CHECK(has_state(&report, "CONFIG_MACVLAN", WHERRY_KERNEL_MISSING));
    CHECK(finding(&report, "CONFIG_OVERLAY_FS")->required && !finding(&report, "CONFIG_MACVLAN")->required);
    CHECK_TEXT(finding(&report, "CONFIG_MACVLAN")->remedy,
               "build the kernel with CONFIG_MACVLAN=m (module macvlan) or =y");
    CHECK(finding(&report, "overlay mount") == NULL && finding(&report, "cgroup hierarchy") == NULL);
    wherry_kernel_report_free(&report);
}

static void options_are_asked_of_the_versions_that_have_them(void)
{
    struct wherry_kernel_report old, new;

    check_text(sample, "4.19", &old);
    check_text(sample, "6.12.3-arch1", &new);
    CHECK(finding(&old, "CONFIG_NF_NAT_IPV4") != NULL && finding(&new, "CONFIG_NF_NAT_IPV4") == NULL);
    CHECK(finding(&old, "CONFIG_MEMCG_SWAP") != NULL && finding(&new, "CONFIG_MEMCG_SWAP") == NULL);
    CHECK(finding(&old, "CONFIG_MEMCG_V1") == NULL && finding(&new, "CONFIG_MEMCG_V1") != NULL);
    CHECK(finding(&old, "CONFIG_TIME_NS") == NULL && finding(&new, "CONFIG_TIME_NS") != NULL);
    wherry_kernel_report_free(&old);
    wherry_kernel_report_free(&new);
}

static void the_table_is_sound(void)
{
    for (size_t i = 0; i < kernel_options_count; i++) {
        const struct kernel_option *option = &kernel_options[i];

        CHECK(strncmp(option->name, "CONFIG_", 7) == 0 && option->breaks[0] != '\0' && option->group[0] != '\0');
        CHECK(option->until == 0 || option->until > option->since);
        for (size_t j = i + 1; j < kernel_options_count; j++) {
            const struct kernel_option *other = &kernel_options[j];

            /* One name twice only with ranges that do not meet. */
            if (strcmp(option->name, other->name) == 0)
                CHECK((option->until != 0 && option->until <= other->since) ||
                      (other->until != 0 && other->until <= option->since));
        }
    }
    CHECK(kernel_version_parse("6.1.0-18-amd64") == 6001 && kernel_version_parse("5.10") == 5010);
    CHECK(kernel_version_parse("linux") == 0 && kernel_version_parse("6") == 0 && kernel_version_parse("6.x") == 0);
}

static void module_lists_are_read_as_modprobe_does(void)
{
    struct kernel_modules modules = {
        .loaded = strdup("nf_tables 300000 5 nft_nat,nft_ct, Live 0x0\nbr_netfilter 32768 0 - Live 0x0\n"),
        .builtin = strdup("kernel/fs/ext4/ext4.ko\nkernel/drivers/net/veth.ko\n"),
        .available = strdup("kernel/fs/overlayfs/overlay.ko.xz:\nkernel/net/x-y.ko: kernel/net/z.ko\n"),
    };

    CHECK(kernel_module_is_loaded(&modules, "br-netfilter") && !kernel_module_is_loaded(&modules, "nf_table"));
    CHECK(kernel_module_is_built_in(&modules, "veth") && !kernel_module_is_built_in(&modules, "eth"));
    CHECK(kernel_module_is_available(&modules, "overlay") && kernel_module_is_available(&modules, "x_y"));
    CHECK(!kernel_module_is_available(&modules, "z"));
    kernel_modules_free(&modules);
}

/* Links, mounts and loaded modules of this host, as text. */
static void snapshot(char *text, size_t size)
{
    FILE *output =
        popen("cat /proc/self/mountinfo /proc/net/dev /proc/modules 2>/dev/null | sed 's/:.*//' | md5sum", "r");

    CHECK(output != NULL && fgets(text, (int)size, output) != NULL);
    pclose(output);
}

static void the_running_kernel_is_probed_and_left_alone(void)
{
    struct wherry_error err = WHERRY_ERROR_INIT;
    const struct wherry_kernel_options options = {.config_file = NULL, .version = NULL};
    struct wherry_kernel_report report;
    char before[64], after[64];

    if (geteuid() != 0)
        SKIP("needs root");
    snapshot(before, sizeof(before));
    CHECK_OK(wherry_kernel_check(&options, &report, &err), err);
    snapshot(after, sizeof(after));
    CHECK_TEXT(after, before);
    CHECK(report.live);
    CHECK(has_state(&report, "cgroup hierarchy", WHERRY_KERNEL_OK));
    for (size_t i = 0; i < report.count; i++) {
        const struct wherry_kernel_finding *one = &report.findings[i];

        /* What is not right has a way out, what is right needs none. */
        CHECK((one->remedy[0] == '\0') == (one->state == WHERRY_KERNEL_OK || one->state == WHERRY_KERNEL_BUILT_IN ||
                                           one->state == WHERRY_KERNEL_MODULE));
    }
    /* The probe and the configuration say the same. */
    if (has_state(&report, "CONFIG_OVERLAY_FS", WHERRY_KERNEL_BUILT_IN))
        CHECK(has_state(&report, "overlay mount", WHERRY_KERNEL_OK));
    if (has_state(&report, "CONFIG_MACVLAN", WHERRY_KERNEL_BUILT_IN))
        CHECK(has_state(&report, "macvlan link", WHERRY_KERNEL_OK));
    if (has_state(&report, "CONFIG_IPVLAN", WHERRY_KERNEL_MISSING))
        CHECK(has_state(&report, "ipvlan link", WHERRY_KERNEL_FAILED));
    if (has_state(&report, "CONFIG_NFT_NAT", WHERRY_KERNEL_BUILT_IN))
        CHECK(has_state(&report, "nft NAT table", WHERRY_KERNEL_OK));
    wherry_kernel_report_free(&report);
}

static void the_report_is_json_with_all_fields(void)
{
    struct wherry_error err = WHERRY_ERROR_INIT;
    cleanup_json struct json_object *document = NULL;
    char *text = NULL;

    CHECK_FAILS(wherry_kernel_check_json("/no/such/file", NULL, &text, &err), err, "/no/such/file");
    CHECK_FAILS(wherry_kernel_check_json(NULL, "new", &text, &err), err, "kernel version: \"new\"");
    CHECK_OK(wherry_kernel_check_json(NULL, NULL, &text, &err), err);
    document = wherry_json_parse(text, strlen(text), "report", &err);
    CHECK(document != NULL);
    {
        static const char *const keys[] = {"group", "name", "required", "state", "module", "breaks", "remedy"};
        struct json_object *findings = json_object_object_get(document, "findings");

        for (size_t i = 0; i < json_object_array_length(findings); i++) {
            for (size_t k = 0; k < sizeof(keys) / sizeof(keys[0]); k++)
                CHECK(json_object_object_get_ex(json_object_array_get_idx(findings, i), keys[k], NULL));
        }
    }
    free(text);
}

int main(void)
{
    RUN(plain_and_gzip_are_told_apart_by_content);
    RUN(what_is_no_configuration_is_refused);
    RUN(a_bomb_stops_at_the_bound);
    RUN(a_given_file_is_judged_without_probing_this_host);
    RUN(options_are_asked_of_the_versions_that_have_them);
    RUN(the_table_is_sound);
    RUN(module_lists_are_read_as_modprobe_does);
    RUN(the_running_kernel_is_probed_and_left_alone);
    RUN(the_report_is_json_with_all_fields);
    return check_result();
}
