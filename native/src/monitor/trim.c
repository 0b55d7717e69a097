/* See trim.h. */
#include "monitor/trim.h"

#include <elf.h>
#include <link.h>
#include <malloc.h>
#include <stdint.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

#define STACK_LEFT (128 * 1024) /* below the stack pointer: what deeper calls have used */

static void drop(uintptr_t start, uintptr_t end)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

    start = (start + page - 1) & ~(page - 1);
    end &= ~(page - 1);
    if (start < end && madvise((void *)start, end - start, MADV_DONTNEED) < 0)
        return; /* a stack that was never so deep: there is nothing to drop */
}

/* Segments that cannot be written are the file's: dropped, they are read from there again. */
static void drop_file_pages(void)
{
    const ElfW(Phdr) *headers = (const ElfW(Phdr) *)getauxval(AT_PHDR);
    size_t count = getauxval(AT_PHNUM);
    uintptr_t base = 0;

    for (size_t i = 0; i < count; i++)
        if (headers[i].p_type == PT_PHDR)
            base = (uintptr_t)headers - headers[i].p_vaddr;
    for (size_t i = 0; i < count; i++)
        if (headers[i].p_type == PT_LOAD && (headers[i].p_flags & PF_W) == 0)
            drop(base + headers[i].p_vaddr, base + headers[i].p_vaddr + headers[i].p_memsz);
}

void trim_memory(void)
{
    uintptr_t here = (uintptr_t)__builtin_frame_address(0);

    malloc_trim(0);
    drop(here - STACK_LEFT, here - (uintptr_t)sysconf(_SC_PAGESIZE));
    drop_file_pages();
}
