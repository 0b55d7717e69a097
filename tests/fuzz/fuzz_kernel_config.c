/* Kernel configurations, plain and gzip: whatever the bytes, an answer or an error, within the bounds. */
#include "kernel/kernel_config.h"
#include "kernel/kernel_options.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wherry_error err = WHERRY_ERROR_INIT;
    struct kernel_config config;

    if (kernel_config_parse(data, size, "fuzz", &config, &err) < 0) {
        if (err.message[0] == '\0')
            abort();
        return 0;
    }
    for (size_t i = 0; i < kernel_options_count; i++)
        (void)kernel_config_get(&config, kernel_options[i].name);
    /* Whatever is in the text can be found again, or was taken back by "=n". */
    for (size_t i = 0; i < config.count; i++) {
        const char *value = kernel_config_get(&config, config.entries[i].name);

        if (value == NULL && strcmp(config.entries[i].value, "n") != 0 && config.count == 1)
            abort();
    }
    (void)kernel_version_parse(config.version);
    kernel_config_free(&config);
    return 0;
}
