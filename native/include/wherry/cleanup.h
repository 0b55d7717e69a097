/* Cleanup attributes: what a scope owns is given back when the scope ends, on every path out of it. */
#pragma once

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void wherry_cleanup_free(void *pointer)
{
    free(*(void **)pointer);
}

static inline void wherry_cleanup_close(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

static inline void wherry_cleanup_fclose(FILE **file)
{
    if (*file != NULL)
        fclose(*file);
}

static inline void wherry_cleanup_closedir(DIR **dir)
{
    if (*dir != NULL)
        closedir(*dir);
}

#define cleanup_free __attribute__((cleanup(wherry_cleanup_free)))
#define cleanup_close __attribute__((cleanup(wherry_cleanup_close)))
#define cleanup_fclose __attribute__((cleanup(wherry_cleanup_fclose)))
#define cleanup_closedir __attribute__((cleanup(wherry_cleanup_closedir)))

/* Hands a descriptor out of the scope that owns it. */
static inline int wherry_steal_fd(int *fd)
{
    int stolen = *fd;

    *fd = -1;
    return stolen;
}

/* Hands an allocation out of the scope that owns it. */
static inline void *wherry_steal_pointer(void *pointer)
{
    void **slot = pointer;
    void *stolen = *slot;

    *slot = NULL;
    return stolen;
}
