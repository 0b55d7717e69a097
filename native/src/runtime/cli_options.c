/* Reading a verb's options and operands; see cli.h. */
#include "cli.h"
#include "wherry/cleanup.h"
#include "wherry/json.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The words of Go's strconv.ParseBool, by which callers of runc give a flag a value. */
static bool parse_flag(const char *text, bool *value)
{
    static const char *const words[] = {"1", "t", "T", "true",  "TRUE",  "True",
                                        "0", "f", "F", "false", "FALSE", "False"};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        *value = i < 6;
        if (strcmp(text, words[i]) == 0)
            return true;
    }
    return false;
}

static bool is_flag(const struct option *options, int code)
{
    for (; options->name != NULL; options++) {
        if (options->val == code && options->has_arg == no_argument)
            return true;
    }
    return false;
}

/* The word that an option was read from. */
static const char *word_of(char **argv)
{
    return optarg != NULL && optarg == argv[optind - 1] ? argv[optind - 2] : argv[optind - 1];
}

/* getopt takes the beginning of a long name for all of it. With one dash it would then be unclear what a letter means.
 */
static bool is_abbreviated(const char *word, const struct option *option)
{
    return word[1] != '-' && strcspn(word + 1, "=") != strlen(option->name);
}

bool wherry_cli_is_help(const char *word)
{
    return strcmp(word, "-h") == 0 || strcmp(word, "-help") == 0 || strcmp(word, "--help") == 0;
}

/* What getopt knows no more of than that it is wrong: 1 for a flag that is on, 0 for one that is off, -2. */
static int judge(char **argv, const char *letters, const struct option *options, int *code, struct wherry_error *err)
{
    const char *word = argv[optind - 1];
    const char *value = strchr(word, '=');
    bool on;

    if (*code == ':')
        return wherry_error_set(err, 0, "%s: option %s needs a value", argv[0], word), -2;
    if (wherry_cli_is_help(word)) {
        wherry_cli_help_verb(argv[0], letters, options);
        err->code = WHERRY_CLI_HELPED;
        return -2;
    }
    if (optopt == 0 || value == NULL || !is_flag(options, optopt))
        return wherry_error_set(err, 0, "%s: option %s is not known", argv[0], word), -2;
    if (!parse_flag(value + 1, &on))
        return wherry_error_set(err, 0, "%s: option %s: must be true or false", argv[0], word), -2;
    *code = optopt;
    return on ? 1 : 0;
}

int wherry_cli_next(int argc, char **argv, const char *letters, const struct option *options, struct wherry_error *err)
{
    int code, result = 0;

    do {
        int index = -1;

        opterr = optopt = 0;
        /* One dash before a long name is how Go's programs, runc among them, are called by some. */
        code = getopt_long_only(argc, argv, letters, options, &index);
        if (index >= 0 && code >= 0 && code != '?' && code != ':' && is_abbreviated(word_of(argv), &options[index]))
            return wherry_error_set(err, 0, "%s: option %s is not known", argv[0], word_of(argv)), -2;
        if (code != '?' && code != ':')
            return code;
        result = judge(argv, letters, options, &code, err);
    } while (result == 0);
    return result < 0 ? result : code;
}

int wherry_cli_operands(int argc, char **argv, int least, int most, struct wherry_error *err)
{
    const struct wherry_cli_entry *entry = wherry_cli_find(argv[0]);
    int count = argc - optind;

    if (count >= least && count <= most)
        return 0;
    return wherry_error_set(err, 0, "usage: wherry-runtime %s [OPTIONS] %s", argv[0], entry->operands);
}

int wherry_cli_number(const char *text, const char *name, long least, long most, long *out, struct wherry_error *err)
{
    char *end;
    long value;

    errno = 0;
    value = strtol(text, &end, 10);
    /* strtol lets blanks and signs pass, which no caller means (" 0", "+0"). */
    if (errno != 0 || *end != '\0' || text[0] < '0' || text[0] > '9' || value < least || value > most)
        return wherry_error_set(err, 0, "%s: \"%s\": must be a number from %ld to %ld", name, text, least, most);
    *out = value;
    return 0;
}

int wherry_cli_format(const char *text, bool *json, struct wherry_error *err)
{
    *json = strcmp(text, "json") == 0;
    if (*json || strcmp(text, "table") == 0)
        return 0;
    return wherry_error_set(err, 0, "--format: %s: must be table or json", text);
}

struct json_object *wherry_cli_read(const char *path, size_t limit, struct wherry_error *err)
{
    bool standard = strcmp(path, "-") == 0;
    const char *name = standard ? "standard input" : path;
    int fd = standard ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3) : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    cleanup_fclose FILE *file = fd >= 0 ? fdopen(fd, "r") : NULL;
    cleanup_free char *text = malloc(limit + 1);
    size_t length = 0;

    if (file == NULL)
        wherry_error_set(err, errno, "open %s", name);
    else if (text == NULL)
        wherry_error_set(err, ENOMEM, "%s", name);
    else if ((length = fread(text, 1, limit + 1, file)) == 0 && ferror(file))
        wherry_error_set(err, errno, "read %s", name);
    else if (length > limit)
        wherry_error_set(err, EFBIG, "%s: larger than %zu bytes", name, limit);
    else
        return wherry_json_parse(text, length, name, err);
    return NULL;
}
