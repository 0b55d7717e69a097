/* Reading config.json: what is taken, with which defaults, and what is refused. */
#include "check.h"
#include "wherry/json.h"
#include "wherry/spec.h"

#include <linux/sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define PROCESS "\"process\":{\"args\":[\"sh\"],\"cwd\":\"/\"}"
#define MOUNT_NAMESPACE "\"namespaces\":[{\"type\":\"mount\"}]"

/* Parses a whole document; on failure `err` tells. */
static int parse(const char *text, struct wherry_spec *spec, struct wherry_error *err)
{
    struct json_object *document = wherry_json_parse(text, strlen(text), "config.json", err);

    memset(spec, 0, sizeof(*spec));
    return document != NULL ? wherry_spec_parse(document, "/bundle", spec, err) : -1;
}

/* The same with `mounts` and `system` put into a document that is otherwise as small as can be. */
static int parse_with(const char *mounts, const char *system, struct wherry_spec *spec, struct wherry_error *err)
{
    char text[4096];

    snprintf(text, sizeof(text),
             "{\"ociVersion\":\"1.0.2\",\"root\":{\"path\":\"rootfs\"}," PROCESS
             ",\"mounts\":[%s],\"linux\":{%s%s" MOUNT_NAMESPACE "}}",
             mounts, system, system[0] != '\0' ? "," : "");
    return parse(text, spec, err);
}

static void the_smallest_document_has_defaults(void)
{
    struct wherry_error err = WHERRY_ERROR_INIT;
    struct wherry_spec spec;

    CHECK_OK(parse_with("", "", &spec, &err), err);
    CHECK_TEXT(spec.root_path, "/bundle/rootfs");
    CHECK(!spec.root_readonly);
    CHECK(spec.process.uid == 0 && spec.process.group_count == 0 && !spec.process.terminal);
    CHECK(spec.cgroups_path == NULL && spec.seccomp == NULL && spec.resources == NULL);
    CHECK(wherry_spec_namespace(&spec, CLONE_NEWNS) != NULL);
    CHECK(wherry_spec_namespace(&spec, CLONE_NEWPID) == NULL);
    wherry_spec_free(&spec);
}

static void the_options_of_a_bind_become_attributes(void)
{
    struct wherry_error err = WHERRY_ERROR_INIT;
    struct wherry_spec spec;

    CHECK_OK(parse_with("{\"destination\":\"/"
                        "d\",\"type\":\"none\",\"source\":\"rel\",\"options\":[\"rbind\",\"ro\",\"rw\",\"nosuid\","
                        "\"rro\",\"noatime\",\"rslave\"]}",
                        "", &spec, &err),
             err);
    CHECK(spec.mount_count == 1);
    CHECK(spec.mounts[0].bind && spec.mounts[0].recursive);
    CHECK_TEXT(spec.mounts[0].source, "/bundle/rel");
    CHECK(spec.mounts[0].set == (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOATIME));
    CHECK(spec.mounts[0].clear == (MOUNT_ATTR_RDONLY | MOUNT_ATTR__ATIME));
    CHECK(spec.mounts[0].recursive_set == MOUNT_ATTR_RDONLY);
    CHECK(spec.mounts[0].propagation_count == 1 && spec.mounts[0].propagations[0].mode == MS_SLAVE &&
          spec.mounts[0].propagations[0].recursive);
    wherry_spec_free(&spec);
}

static void the_options_of_a_file_system_are_kept_in_order(void)
{
    struct wherry_error err = WHERRY_ERROR_INIT;
    struct wherry_spec spec;

    CHECK_OK(parse_with("{\"destination\":\"/"
                        "t\",\"type\":\"tmpfs\",\"options\":[\"size=1k\",\"nodev\",\"mode=755\",\"tmpcopyup\"]}",
                        "", &spec, &err),
             err);
    CHECK_TEXT(spec.mounts[0].source, "tmpfs");
    CHECK(spec.mounts[0].data_count == 2 && spec.mounts[0].copy_up);
    CHECK_TEXT(spec.mounts[0].data[0], "size=1k");
    CHECK_TEXT(spec.mounts[0].data[1], "mode=755");
    wherry_spec_free(&spec);
}

static void mounts_that_make_no_sense_are_refused(void)
{
    static const struct {
        const char *mount, *message;
    } cases[] = {
        {"{\"destination\":\"\"}", "mounts[0].destination: must be set"},
        {"{\"destination\":\"/d\"}", "mounts[0].type: must be set"},
        {"{\"destination\":\"/d\",\"type\":\"bind\"}", "mounts[0].source: must be set"},
        {"{\"destination\":\"/d\",\"type\":\"bind\",\"source\":\"/s\",\"options\":[\"size=1\"]}",
         "size=1: not supported for a bind"},
        {"{\"destination\":\"/d\",\"type\":\"proc\",\"options\":[\"tmpcopyup\"]}", "tmpcopyup: only for type tmpfs"},
        {"{\"destination\":\"/d\",\"type\":\"bind\",\"source\":\"/s\",\"options\":[\"bind\",\"ridmap\"]}",
         "options: ridmap: only for a recursive bind"},
        {"{\"destination\":\"/d\",\"type\":\"bind\",\"source\":\"/s\",\"options\":[\"idmap\"]}",
         "mounts[0].options: idmap: needs uidMappings and gidMappings"},
        {"{\"destination\":\"/d\",\"type\":\"bind\",\"source\":\"/s\",\"gidMappings\":[{\"containerID\":0,"
         "\"hostID\":1,\"size\":1}]}",
         "mounts[0].uidMappings, mounts[0].gidMappings: must be set both"},
        {"{\"destination\":\"/d\",\"type\":\"cgroup\",\"options\":[\"memory\"]}",
         "memory: not supported for control groups"},
        {"5", "mounts[0]: must be an object"},
    };
    struct wherry_error err = WHERRY_ERROR_INIT;
    struct wherry_spec spec;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        CHECK_FAILS(parse_with(cases[i].mount, "", &spec, &err), err, cases[i].message);
}

static void mappings_in_an_option_are_read_or_refused(void)
{
    static const char *const wrong[] = {"",
                                        "uids=",
                                        "uids=0",
                                        "uids=0-",
                                        "uids=0-1-",
                                        "uids=0-1-1",
                                        "gids=0-1-1;",
                                        "uids=0-1-1;gids=0-1-1#",
                                        "uids=0-1-1;gids=0-1-1;x",
                                        "uids=0-1-1;;gids=0-1-1",
                                        "uids=0-1-1;uids=0-1-1;gids=0-1-1",
                                        "uids=4294967295-1-1;gids=0-1-1",
                                        "uids=99999999999999999999-1-1;gids=0-1-1"};
    struct wherry_error err = WHERRY_ERROR_INIT;
    struct wherry_spec spec;
    char mount[256];

    CHECK_OK(parse_with("{\"destination\":\"/d\",\"source\":\"/s\",\"options\":[\"rbind\",\"ridmap=uids=1-2-3#4-5-6;"
                        "gids=0-4294967294-1\"]}",
                        "", &spec, &err),
             err);
    CHECK(spec.mounts[0].idmapped && spec.mounts[0].idmap_recursive);
    CHECK(spec.mounts[0].uid_mappings.count == 2 && spec.mounts[0].uid_mappings.items[1].outside == 5);
    CHECK(spec.mounts[0].gid_mappings.count == 1 && spec.mounts[0].gid_mappings.items[0].outside == 4294967294u);
    wherry_spec_free(&spec);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        snprintf(mount, sizeof(mount), "{\"destination\":\"/d\",\"source\":\"/s\",\"options\":[\"bind\",\"idmap=%s\"]}",
                 wrong[i]);
        CHECK_FAILS(parse_with(mount, "", &spec, &err), err, "mounts[0].options[1]: idmap=");
    }
}

static void devices_have_type_number_and_mode(void)
{
    struct wherry_error err = WHERRY_ERROR_INIT;
    struct wherry_spec spec;

    CHECK_OK(
        parse_with("",
                   "\"devices\":[{\"path\":\"/dev/fuse\",\"type\":\"c\",\"major\":10,\"minor\":229,\"fileMode\":33188},"
                   "{\"path\":\"/dev/p\",\"type\":\"p\",\"major\":1}]",
                   &spec, &err),
        err);
    /* The type bits that some callers leave in fileMode are not taken for permissions. */
    CHECK(spec.devices[0].mode == (S_IFCHR | 0644));
    CHECK(spec.devices[0].number == makedev(10, 229));
    CHECK(spec.devices[1].mode == (S_IFIFO | 0666) && spec.devices[1].number == 0);
    wherry_spec_free(&spec);
}

static void both_spellings_of_a_sysctl_name_one_file(void)
{
    struct wherry_error err = WHERRY_ERROR_INIT;
    struct wherry_spec spec;

    CHECK_OK(parse("{\"ociVersion\":\"1.0.2\",\"root\":{\"path\":\"/r\"}," PROCESS
                   ",\"linux\":{\"namespaces\":[{\"type\":\"mount\"},{\"type\":\"network\"}],\"sysctl\":{"
                   "\"net.ipv4.conf.eth0/1.forwarding\":\"1\",\"net/ipv4/conf/eth0.1/forwarding\":\"1\"}}}",
                   &spec, &err),
             err);
    CHECK(spec.sysctl_count == 2);
    CHECK_TEXT(spec.sysctls[0].path, "sys/net/ipv4/conf/eth0.1/forwarding");
    CHECK_TEXT(spec.sysctls[1].path, "sys/net/ipv4/conf/eth0.1/forwarding");
    wherry_spec_free(&spec);
    CHECK_FAILS(parse_with("", "\"sysctl\":{\"net.ipv4.ip_forward\":\"1\"}", &spec, &err), err,
                "needs a network namespace of the container's own");
    CHECK_FAILS(parse_with("", "\"sysctl\":{\"kernel.core_pattern\":\"x\"}", &spec, &err), err,
                "it would change the host");
}

static void mappings_that_reach_beyond_the_ids_are_refused(void)
{
    struct wherry_error err = WHERRY_ERROR_INIT;
    struct wherry_spec spec;

    CHECK_FAILS(parse_with("", "\"uidMappings\":[{\"containerID\":4294967294,\"hostID\":0,\"size\":2}]", &spec, &err),
                err, "linux.uidMappings[0]: reaches beyond ID 4294967294");
    CHECK_FAILS(parse_with("", "\"uidMappings\":[{\"containerID\":0,\"hostID\":0,\"size\":0}]", &spec, &err), err,
                "linux.uidMappings[0].size");
    CHECK_FAILS(parse_with("", "\"gidMappings\":[{\"containerID\":0,\"hostID\":0}]", &spec, &err), err,
                "linux.gidMappings[0]: must have containerID, hostID and size");
}

static void a_joined_mount_namespace_excludes_what_would_be_mounted(void)
{
    struct wherry_error err = WHERRY_ERROR_INIT;
    struct wherry_spec spec;

    CHECK_FAILS(parse("{\"ociVersion\":\"1.0.2\",\"root\":{\"path\":\"/r\"}," PROCESS
                      ",\"linux\":{\"namespaces\":[{\"type\":\"mount\",\"path\":\"/proc/1/ns/mnt\"}]}}",
                      &spec, &err),
                err, "root: must be absent");
    CHECK_OK(parse("{\"ociVersion\":\"1.0.2\"," PROCESS
                   ",\"linux\":{\"namespaces\":[{\"type\":\"mount\",\"path\":\"/proc/1/ns/mnt\"}]}}",
                   &spec, &err),
             err);
    wherry_spec_free(&spec);
}

static void a_value_of_the_wrong_type_is_never_passed_over(void)
{
    static const char *const fields[] = {"devices",     "uidMappings",      "sysctl",      "resources",
                                         "seccomp",     "maskedPaths",      "cgroupsPath", "readonlyPaths",
                                         "gidMappings", "rootfsPropagation"};
    struct wherry_error err = WHERRY_ERROR_INIT;
    struct wherry_spec spec;

    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        char system[128], message[128];

        snprintf(system, sizeof(system), "\"%s\":5", fields[i]);
        snprintf(message, sizeof(message), "linux.%s: must be a", fields[i]);
        CHECK_FAILS(parse_with("", system, &spec, &err), err, message);
    }
}

int main(void)
{
    RUN(the_smallest_document_has_defaults);
    RUN(the_options_of_a_bind_become_attributes);
    RUN(the_options_of_a_file_system_are_kept_in_order);
    RUN(mounts_that_make_no_sense_are_refused);
    RUN(mappings_in_an_option_are_read_or_refused);
    RUN(devices_have_type_number_and_mode);
    RUN(both_spellings_of_a_sysctl_name_one_file);
    RUN(mappings_that_reach_beyond_the_ids_are_refused);
    RUN(a_joined_mount_namespace_excludes_what_would_be_mounted);
    RUN(a_value_of_the_wrong_type_is_never_passed_over);
    return check_result();
}
