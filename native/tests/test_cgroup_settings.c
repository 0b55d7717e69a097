/* What linux.resources becomes in the files of v1 and of v2, and what is refused by name. */
#include "check.h"

#include "runtime/cgroup_setting.h"
#include "wherry/json.h"

static int translate(const char *json, bool unified, struct cgroup_settings *settings, struct wherry_error *err)
{
    cleanup_json struct json_object *resources = wherry_json_parse(json, strlen(json), "test", err);

    *settings = (struct cgroup_settings)CGROUP_SETTINGS_INIT;
    if (resources == NULL)
        return -1;
    return unified ? cgroup_v2_translate(resources, NULL, settings, err)
                   : cgroup_v1_translate(resources, settings, err);
}

/* Fails unless `json` becomes exactly `expected`: "file=value" joined by newlines. */
static void becomes(const char *json, bool unified, const char *expected)
{
    struct wherry_error err = WHERRY_ERROR_INIT;
    struct cgroup_settings settings;
    char text[2048] = "";

    CHECK_OK(translate(json, unified, &settings, &err), err);
    for (size_t i = 0; i < settings.count; i++)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s=%s", i > 0 ? "\n" : "", settings.list[i].file,
                 settings.list[i].value);
    CHECK_TEXT(text, expected);
    cgroup_settings_free(&settings);
}

static void is_refused(const char *json, bool unified, const char *part)
{
    struct wherry_error err = WHERRY_ERROR_INIT;
    struct cgroup_settings settings;

    CHECK_FAILS(translate(json, unified, &settings, &err), err, part);
    cgroup_settings_free(&settings);
}

static void memory_counts_swap_apart_on_v2(void)
{
    const char *json = "{\"memory\":{\"limit\":1000000,\"swap\":3000000,\"reservation\":500000}}";

    becomes(json, true, "memory.max=1000000\nmemory.swap.max=2000000\nmemory.low=500000");
    becomes(json, false,
            "memory.limit_in_bytes=1000000\nmemory.soft_limit_in_bytes=500000\nmemory.memsw.limit_in_bytes=3000000");
    becomes("{\"memory\":{\"limit\":-1,\"swap\":-1}}", true, "memory.max=max\nmemory.swap.max=max");
    becomes("{\"memory\":{\"limit\":0,\"swap\":0}}", true, "");
}

static void default_shares_become_the_default_weight(void)
{
    becomes("{\"cpu\":{\"shares\":1024}}", true, "cpu.weight=100");
    becomes("{\"cpu\":{\"shares\":2}}", true, "cpu.weight=1");
    becomes("{\"cpu\":{\"shares\":262144}}", true, "cpu.weight=10000");
    becomes("{\"cpu\":{\"shares\":1024}}", false, "cpu.shares=1024");
}

static void quota_and_period_are_one_value_on_v2(void)
{
    becomes("{\"cpu\":{\"quota\":50000,\"period\":200000,\"burst\":1000}}", true,
            "cpu.max=50000 200000\ncpu.max.burst=1000");
    becomes("{\"cpu\":{\"quota\":50000}}", true, "cpu.max=50000");
    becomes("{\"cpu\":{\"quota\":-1}}", true, "cpu.max=max");
    becomes("{\"cpu\":{\"period\":50000}}", true, "cpu.max=max 50000");
    becomes("{\"cpu\":{\"quota\":50000,\"period\":200000,\"cpus\":\"0-1\",\"mems\":\"0\",\"idle\":1}}", false,
            "cpu.cfs_period_us=200000\ncpu.cfs_quota_us=50000\ncpu.idle=1\ncpuset.cpus=0-1\ncpuset.mems=0");
}

static void block_devices_are_named_by_number(void)
{
    const char *json =
        "{\"blockIO\":{\"weight\":500,\"throttleReadBpsDevice\":[{\"major\":8,\"minor\":0,\"rate\":4096}],"
        "\"throttleWriteIOPSDevice\":[{\"major\":8,\"minor\":16,\"rate\":0}]}}";

    becomes(json, true, "io.bfq.weight=500\nio.max=8:0 rbps=4096\nio.max=8:16 wiops=max");
    becomes(json, false,
            "blkio.weight=500\nblkio.throttle.read_bps_device=8:0 4096\nblkio.throttle.write_iops_device=8:16 0");
    is_refused("{\"blockIO\":{\"leafWeight\":10}}", false, "blockIO.leafWeight");
    is_refused("{\"blockIO\":{\"weight\":5}}", true, "blockIO.weight: 5");
}

static void the_other_limits_find_their_files(void)
{
    becomes("{\"pids\":{\"limit\":64},\"hugepageLimits\":[{\"pageSize\":\"2MB\",\"limit\":4194304}],"
            "\"rdma\":{\"mlx5_1\":{\"hcaHandles\":3}}}",
            true, "pids.max=64\nhugetlb.2MB.max=4194304\nhugetlb.2MB.rsvd.max=4194304\nrdma.max=mlx5_1 hca_handle=3");
    becomes("{\"pids\":{\"limit\":-1},\"hugepageLimits\":[{\"pageSize\":\"1GB\",\"limit\":0}]}", false,
            "pids.max=max\nhugetlb.1GB.limit_in_bytes=0\nhugetlb.1GB.rsvd.limit_in_bytes=0");
    becomes("{\"network\":{\"classID\":1048577,\"priorities\":[{\"name\":\"eth0\",\"priority\":5}]}}", false,
            "net_cls.classid=1048577\nnet_prio.ifpriomap=eth0 5");
    becomes("{\"unified\":{\"memory.high\":\"1000\",\"io.max\":\"8:0 rbps=1\\n8:16 wbps=2\"}}", true,
            "memory.high=1000\nio.max=8:0 rbps=1\nio.max=8:16 wbps=2");
}

static void what_a_version_cannot_limit_is_refused_by_name(void)
{
    is_refused("{\"memory\":{\"swappiness\":10}}", true, "memory.swappiness");
    is_refused("{\"memory\":{\"disableOOMKiller\":true}}", true, "memory.disableOOMKiller");
    is_refused("{\"memory\":{\"kernelTCP\":1000}}", true, "memory.kernelTCP");
    is_refused("{\"cpu\":{\"realtimePeriod\":1000}}", true, "cpu.realtimePeriod");
    is_refused("{\"network\":{\"classID\":1}}", true, "network.classID");
    is_refused("{\"unified\":{\"memory.high\":\"1\"}}", false, "unified");
}

static void wrong_values_are_refused_with_their_field(void)
{
    is_refused("{\"memory\":{\"limit\":\"1g\"}}", false, "linux.resources.memory.limit: must be an integer");
    is_refused("{\"memory\":{\"limit\":-2}}", true, "linux.resources.memory.limit: -2");
    is_refused("{\"memory\":{\"limit\":2000,\"swap\":1000}}", true, "memory.swap: 1000");
    is_refused("{\"memory\":{\"swap\":1000}}", true, "memory.swap: 1000: needs memory.limit");
    is_refused("{\"cpu\":{\"cpus\":\"0;1\"}}", false, "cpu.cpus: \"0;1\"");
    is_refused("{\"hugepageLimits\":[{\"pageSize\":\"../2MB\",\"limit\":1}]}", true, "hugepageLimits[0].pageSize");
    is_refused("{\"unified\":{\"../memory.high\":\"1\"}}", true, "unified.../memory.high");
    is_refused("{\"unified\":{\"cgroup.procs\":\"1\"}}", true, "unified.cgroup.procs");
    is_refused("{\"pids\":7}", true, "linux.resources.pids: must be an object");
}

int main(void)
{
    RUN(memory_counts_swap_apart_on_v2);
    RUN(default_shares_become_the_default_weight);
    RUN(quota_and_period_are_one_value_on_v2);
    RUN(block_devices_are_named_by_number);
    RUN(the_other_limits_find_their_files);
    RUN(what_a_version_cannot_limit_is_refused_by_name);
    RUN(wrong_values_are_refused_with_their_field);
    return check_result();
}
