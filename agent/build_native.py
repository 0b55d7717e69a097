"""Builds the extension module wherry._native: cffi in API mode over libwherry (native/), which make builds first.

The module keeps to CPython's limited API, so that one wheel serves every supported Python version.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from cffi import FFI

HERE = Path(__file__).resolve().parent
NATIVE = HERE.parent / "native"
BUILD = NATIVE / "build"
PROGRAMS = ("wherry-runtime", "wherry-monitor", "wherry-init")

# What agent/wherry/native.py calls; the meaning of each function stands in the header that declares it.
DECLARATIONS = """
struct wherry_error { int code; char message[1024]; ...; };

int wherry_netns_create(const char *path, struct wherry_error *err);
int wherry_netns_remove(const char *path, struct wherry_error *err);
int wherry_netns_socket(const char *path, int family, int type, int protocol, struct wherry_error *err);
int wherry_netns_sysctl(const char *path, const char *name, const char *value, struct wherry_error *err);

int wherry_overlay_mount(const char *target, const char *const *lower, size_t count, const char *upper,
                         const char *work, struct wherry_error *err);
struct wherry_mapped_overlay {
    const char *target; const char *const *lower; size_t lower_count; const char *data; const char *upper, *work;
    const char *user_namespace; uint32_t uid, gid; ...;
};
int wherry_overlay_mount_mapped(const struct wherry_mapped_overlay *wanted, struct wherry_error *err);
int wherry_unmount(const char *target, bool lazy, struct wherry_error *err);
int wherry_mount(const char *source, const char *target, const char *type, unsigned long flags, const char *data,
                 struct wherry_error *err);

int wherry_paths_open_in_root(int root, const char *path, int flags, struct wherry_error *err);
int wherry_file_read_fd(int fd, const char *name, size_t limit, char **text, size_t *length,
                        struct wherry_error *err);

struct wherry_id_range { uint32_t inside, outside, count; ...; };
struct wherry_id_map { const struct wherry_id_range *ranges; size_t count; ...; };
struct wherry_id_maps { struct wherry_id_map uids, gids; ...; };
int wherry_userns_create(const char *path, const struct wherry_id_maps *maps, struct wherry_error *err);
int wherry_userns_create_network(const char *user_path, const char *path, struct wherry_error *err);
int wherry_userns_share(const char *from, const char *path, struct wherry_error *err);
int wherry_userns_remove(const char *path, struct wherry_error *err);
struct wherry_layer_limits { uint64_t max_bytes; uint64_t max_entries; ...; };
struct wherry_layer_result {
    char diff_id[65]; char digest[65]; uint64_t compressed_size; uint64_t size; uint64_t entries; ...;
};
struct wherry_unpack_options {
    struct wherry_layer_limits limits; struct wherry_id_maps ids; bool user_xattr; bool no_overwrite_dir_non_dir;
    bool has_owner; uint32_t uid, gid; ...;
};
int wherry_layer_unpack(int source, const char *target, const struct wherry_unpack_options *options,
                        struct wherry_layer_result *result, struct wherry_error *err);
int wherry_archive_unpack(int source, int root, const char *path, const struct wherry_unpack_options *options,
                          struct wherry_layer_result *result, struct wherry_error *err);

enum wherry_pack_form { WHERRY_PACK_TREE, WHERRY_PACK_UPPER, WHERRY_PACK_DIFF, ... };
enum wherry_compression { WHERRY_COMPRESSION_NONE, WHERRY_COMPRESSION_GZIP, WHERRY_COMPRESSION_ZSTD, ... };
struct wherry_pack_options {
    enum wherry_pack_form form; enum wherry_compression compression; int level; unsigned threads; bool user_xattr;
    struct wherry_layer_limits limits; struct wherry_id_maps ids; const char *const *lower; size_t lower_count;
    const char *const *places; size_t place_count; ...;
};
int wherry_pack_directory(const char *source, int target, const struct wherry_pack_options *options,
                          struct wherry_layer_result *result, struct wherry_error *err);
int wherry_pack_path(int root, const char *path, const char *name, int target,
                     const struct wherry_pack_options *options, struct wherry_layer_result *result,
                     struct wherry_error *err);

int wherry_recompress(int source, int target, const struct wherry_pack_options *options,
                      struct wherry_layer_result *result, struct wherry_error *err);

int wherry_remove_tree(int parent, const char *name, uint64_t most, struct wherry_error *err);

struct wherry_changes { char *text; size_t length; ...; };
int wherry_changes_list(const char *upper, const char *const *lower, size_t count, bool user_xattr,
                        struct wherry_changes *changes, struct wherry_error *err);

int wherry_project_assign(const char *directory, uint32_t project, struct wherry_error *err);
int wherry_project_of(const char *directory, uint32_t *project, struct wherry_error *err);
int wherry_project_limit(const char *directory, uint32_t project, uint64_t bytes, struct wherry_error *err);

int wherry_statistics_json(const char *root, const char *id, char **text, struct wherry_error *err);

int wherry_kernel_check_json(const char *config_file, const char *kernel_version, char **json_out,
                             struct wherry_error *err);
void free(void *pointer);

int inotify_init1(int flags);
int inotify_add_watch(int fd, const char *path, uint32_t mask);
int inotify_rm_watch(int fd, int watch);
"""

SOURCE = """
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include "wherry/changes.h"
#include "wherry/error.h"
#include "wherry/file.h"
#include "wherry/kernel.h"
#include "wherry/layer.h"
#include "wherry/mount.h"
#include "wherry/netns.h"
#include "wherry/overlay.h"
#include "wherry/pack.h"
#include "wherry/paths.h"
#include "wherry/project_quota.h"
#include "wherry/remove.h"
#include "wherry/statistics.h"
#include "wherry/userns.h"
"""


def make() -> None:
    """Builds the library and the programs; the compiler's messages are shown."""
    jobs = str(os.cpu_count() or 1)
    subprocess.run(["make", "--silent", "-C", str(NATIVE), "-j", jobs, "all"], check=True)


def stage_programs() -> list[str]:
    """Puts the programs where setuptools finds them for the wheel; returns their paths relative to agent/."""
    staged = HERE / "build" / "programs"
    staged.mkdir(parents=True, exist_ok=True)
    for program in PROGRAMS:
        shutil.copy2(BUILD / program, staged / program)
    return [f"build/programs/{program}" for program in PROGRAMS]


make()
ffibuilder = FFI()
ffibuilder.cdef(DECLARATIONS)
ffibuilder.set_source(
    "wherry._native",
    SOURCE,
    include_dirs=[str(NATIVE / "include")],
    extra_objects=[str(BUILD / "libwherry.a")],
    depends=[str(BUILD / "libwherry.a")],  # a library that changed is linked anew
    # Static but for zlib, which Python itself brings: the module then needs nothing more on a bare host.
    extra_link_args=["-Wl,-Bstatic", "-ljson-c", "-lzstd", "-lseccomp", "-Wl,-Bdynamic", "-lz", "-ldl", "-lpthread"],
    define_macros=[("Py_LIMITED_API", "0x030A0000"), ("_GNU_SOURCE", None)],
    py_limited_api=True,
)
