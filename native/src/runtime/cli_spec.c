/* The verb spec on the command line: a config.json to start from; see cli.h. */
#include "cli.h"
#include "wherry/cleanup.h"
#include "wherry/file.h"
#include "wherry/json.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json_tokener.h>
#include <string.h>
#include <unistd.h>

/* A container that runs a shell, shut off as by default. */
static const char example[] =
    "{\n"
    "  \"ociVersion\": \"1.0.2\",\n"
    "  \"process\": {\n"
    "    \"terminal\": true,\n"
    "    \"user\": {\"uid\": 0, \"gid\": 0},\n"
    "    \"args\": [\"sh\"],\n"
    "    \"env\": [\"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\", \"TERM=xterm\"],\n"
    "    \"cwd\": \"/\",\n"
    "    \"capabilities\": {\n"
    "      \"bounding\": [\"CAP_AUDIT_WRITE\", \"CAP_KILL\", \"CAP_NET_BIND_SERVICE\"],\n"
    "      \"effective\": [\"CAP_AUDIT_WRITE\", \"CAP_KILL\", \"CAP_NET_BIND_SERVICE\"],\n"
    "      \"permitted\": [\"CAP_AUDIT_WRITE\", \"CAP_KILL\", \"CAP_NET_BIND_SERVICE\"]\n"
    "    },\n"
    "    \"noNewPrivileges\": true\n"
    "  },\n"
    "  \"root\": {\"path\": \"rootfs\", \"readonly\": true},\n"
    "  \"hostname\": \"wherry\",\n"
    "  \"mounts\": [\n"
    "    {\"destination\": \"/proc\", \"type\": \"proc\", \"source\": \"proc\", \"options\": [\"nosuid\", \"noexec\", "
    "\"nodev\"]},\n"
    "    {\"destination\": \"/dev\", \"type\": \"tmpfs\", \"source\": \"tmpfs\", \"options\": [\"nosuid\", "
    "\"strictatime\", \"mode=755\", \"size=65536k\"]},\n"
    "    {\"destination\": \"/dev/pts\", \"type\": \"devpts\", \"source\": \"devpts\", \"options\": [\"nosuid\", "
    "\"noexec\", \"newinstance\", \"ptmxmode=0666\", \"mode=0620\", \"gid=5\"]},\n"
    "    {\"destination\": \"/dev/shm\", \"type\": \"tmpfs\", \"source\": \"shm\", \"options\": [\"nosuid\", "
    "\"noexec\", "
    "\"nodev\", \"mode=1777\", \"size=65536k\"]},\n"
    "    {\"destination\": \"/dev/mqueue\", \"type\": \"mqueue\", \"source\": \"mqueue\", \"options\": [\"nosuid\", "
    "\"noexec\", \"nodev\"]},\n"
    "    {\"destination\": \"/sys\", \"type\": \"sysfs\", \"source\": \"sysfs\", \"options\": [\"nosuid\", \"noexec\", "
    "\"nodev\", \"ro\"]},\n"
    "    {\"destination\": \"/sys/fs/cgroup\", \"type\": \"cgroup\", \"source\": \"cgroup\", \"options\": [\"nosuid\", "
    "\"noexec\", \"nodev\", \"relatime\", \"ro\"]}\n"
    "  ],\n"
    "  \"linux\": {\n"
    "    \"resources\": {\"devices\": [{\"allow\": false, \"access\": \"rwm\"}]},\n"
    "    \"namespaces\": [{\"type\": \"pid\"}, {\"type\": \"network\"}, {\"type\": \"ipc\"}, {\"type\": \"uts\"}, "
    "{\"type\": \"mount\"}, {\"type\": \"cgroup\"}],\n"
    "    \"maskedPaths\": [\"/proc/acpi\", \"/proc/asound\", \"/proc/interrupts\", \"/proc/kcore\", \"/proc/keys\", "
    "\"/proc/latency_stats\", \"/proc/sched_debug\", \"/proc/scsi\", \"/proc/timer_list\", \"/proc/timer_stats\", "
    "\"/sys/devices/virtual/powercap\", \"/sys/firmware\"],\n"
    "    \"readonlyPaths\": [\"/proc/bus\", \"/proc/fs\", \"/proc/irq\", \"/proc/sys\", \"/proc/sysrq-trigger\"]\n"
    "  }\n"
    "}\n";

/* Parses what is written in this file. */
static struct json_object *constant(const char *text)
{
    return json_tokener_parse(text);
}

static void map_to_self(struct json_object *system, const char *key, unsigned own)
{
    struct json_object *mappings = constant("[{\"containerID\": 0, \"hostID\": 0, \"size\": 1}]");

    json_object_object_add(json_object_array_get_idx(mappings, 0), "hostID", json_object_new_int64(own));
    json_object_object_add(system, key, mappings);
}

/* The mount for a user who is not root: without groups that are not mapped, and the host's sysfs for one that shows a
 * network namespace of its own. The caller's reference. */
static struct json_object *rootless_mount(struct json_object *mount)
{
    const char *destination = json_object_get_string(json_object_object_get(mount, "destination"));
    struct json_object *kept, *options = json_object_object_get(mount, "options");

    if (strcmp(destination, "/sys") == 0)
        return constant("{\"destination\": \"/sys\", \"type\": \"none\", \"source\": \"/sys\", "
                        "\"options\": [\"rbind\", \"nosuid\", \"noexec\", \"nodev\", \"ro\"]}");
    kept = json_object_new_array();
    for (size_t i = 0; i < json_object_array_length(options); i++) {
        struct json_object *option = json_object_array_get_idx(options, i);

        if (strncmp(json_object_get_string(option), "gid=", 4) != 0)
            json_object_array_add(kept, json_object_get(option));
    }
    json_object_object_add(mount, "options", kept);
    return json_object_get(mount);
}

/* What a user without privileges can have: a user namespace that maps only himself, the host's network, no limits. */
static void make_rootless(struct json_object *document)
{
    struct json_object *system = json_object_object_get(document, "linux");
    struct json_object *mounts = json_object_object_get(document, "mounts"), *kept = json_object_new_array();

    for (size_t i = 0; i < json_object_array_length(mounts); i++)
        json_object_array_add(kept, rootless_mount(json_object_array_get_idx(mounts, i)));
    json_object_object_add(document, "mounts", kept);
    json_object_object_add(system, "namespaces",
                           constant("[{\"type\": \"pid\"}, {\"type\": \"ipc\"}, {\"type\": \"uts\"}, "
                                    "{\"type\": \"mount\"}, {\"type\": \"cgroup\"}, {\"type\": \"user\"}]"));
    map_to_self(system, "uidMappings", geteuid());
    map_to_self(system, "gidMappings", getegid());
    json_object_object_del(system, "resources");
}

static int write_example(int file, bool rootless)
{
    cleanup_json struct json_object *document = rootless ? constant(example) : NULL;
    const char *text = example;
    int result;

    if (rootless && document == NULL)
        return -ENOMEM;
    if (rootless) {
        make_rootless(document);
        text = json_object_to_json_string_ext(document, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
                                                            JSON_C_TO_STRING_NOSLASHESCAPE);
    }
    result = wherry_write_all(file, text, strlen(text));
    return result == 0 && rootless ? wherry_write_all(file, "\n", 1) : result;
}

int wherry_cli_spec(const struct wherry_cli *cli, int argc, char **argv, struct wherry_error *err)
{
    static const struct option options[] = {
        {"bundle", required_argument, NULL, 'b'}, {"rootless", no_argument, NULL, 'u'}, {0}};
    cleanup_close int directory = -1;
    cleanup_close int file = -1;
    const char *bundle = ".";
    bool rootless = false;
    int code, result;

    (void)cli;
    while ((code = wherry_cli_next(argc, argv, ":b:", options, err)) >= 0) {
        if (code == 'u')
            rootless = true;
        else
            bundle = optarg;
    }
    if (code == -2 || wherry_cli_operands(argc, argv, 0, 0, err) < 0)
        return -1;
    directory = open(bundle, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0)
        return wherry_error_set(err, errno, "bundle %s", bundle);
    file = openat(directory, "config.json", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (file < 0)
        return wherry_error_set(err, errno, "make %s/config.json", bundle);
    result = write_example(file, rootless);
    return result < 0 ? wherry_error_set(err, -result, "write %s/config.json", bundle) : 0;
}
