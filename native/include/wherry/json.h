/*
 * Reading JSON documents strictly: every value is checked for its type and range, every refusal names the field.
 *
 * `where` is the dotted name of the object that is read ("process.user", "mounts[3]", "" for the document itself);
 * errors read "process.user.uid: must be an integer from 0 to 4294967294". A key that is absent or null leaves the
 * output as it was and returns 0; a key that is present returns 1. Strings stay owned by the document.
 */
#pragma once

#include "wherry/arena.h"
#include "wherry/error.h"

#include <json-c/json_object.h>
#include <json-c/linkhash.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WHERRY_JSON_WHERE_MAX 128

/* Parses a whole document of at most `limit` bytes; NULL with `err` set on failure. The caller puts the reference. */
struct json_object *wherry_json_parse(const char *text, size_t length, const char *name, struct wherry_error *err);

/* A piece of a document's text. */
struct wherry_json_part {
    const char *text; /* NULL: none */
    size_t length;
};

/* The same, but the object at `outer`.`inner` is not parsed: null stands in its place, and *part is its text. Where it
 * cannot be told for sure which one that is, all is parsed and *part is none. */
struct json_object *wherry_json_parse_apart(const char *text, size_t length, const char *name, const char *outer,
                                            const char *inner, struct wherry_json_part *part, struct wherry_error *err);

struct json_object *wherry_json_read(int dirfd, const char *path, size_t limit, struct wherry_error *err);

/* Fails unless `object` is an object, and has none of the fields `refused`: those that the specification knows and this
 * runtime does not. Fields that nobody knows are ignored, as the specification demands (config.md, "Extensibility"). */
int wherry_json_refuse(struct json_object *object, const char *where, const char *const *refused, size_t count,
                       struct wherry_error *err);

int wherry_json_string(struct json_object *object, const char *where, const char *key, const char **out,
                       struct wherry_error *err);
int wherry_json_bool(struct json_object *object, const char *where, const char *key, bool *out,
                     struct wherry_error *err);
int wherry_json_integer(struct json_object *object, const char *where, const char *key, int64_t least, int64_t most,
                        int64_t *out, struct wherry_error *err);
int wherry_json_object(struct json_object *object, const char *where, const char *key, struct json_object **out,
                       struct wherry_error *err);
int wherry_json_array(struct json_object *object, const char *where, const char *key, struct json_object **out,
                      struct wherry_error *err);

/* An array of strings, NULL-terminated, its pointers in `arena`. */
int wherry_json_strings(struct json_object *object, const char *where, const char *key, struct wherry_arena *arena,
                        const char ***out, size_t *count, struct wherry_error *err);

/* A word that a field may hold, and what it stands for. */
struct wherry_json_choice {
    const char *name;
    uint64_t value;
};

/* A string that is one of `choices`; the error for another one names them all. */
int wherry_json_choose(struct json_object *object, const char *where, const char *key,
                       const struct wherry_json_choice *choices, size_t count, uint64_t *out, struct wherry_error *err);

/* An array of such strings; their values are added to `out` bit by bit. */
int wherry_json_flags(struct json_object *object, const char *where, const char *key,
                      const struct wherry_json_choice *choices, size_t count, uint64_t *out, struct wherry_error *err);

/* Writes "where.key" (or "key" when `where` is empty) into `name`; cut when too long. */
void wherry_json_name(char name[WHERRY_JSON_WHERE_MAX], const char *where, const char *key);

static inline void wherry_cleanup_json(struct json_object **object)
{
    if (*object != NULL)
        json_object_put(*object);
}

#define cleanup_json __attribute__((cleanup(wherry_cleanup_json)))
