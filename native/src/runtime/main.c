/* wherry-runtime: an OCI runtime; see cli.h. */
#include "cli.h"
#include "sealed_self.h"

#if WHERRY_SEALED_SELF_EARLY
/* Where the kernel enters the program (Makefile), ahead of the C library's own _start. Of a verb that runs sealed
 * the C library is then initialised once and not twice: 0.5 ms in a virtual machine, where each of glibc's
 * some 70 CPUID instructions traps to the host. */
__attribute__((naked, noreturn)) void wherry_runtime_entry(void);

void wherry_runtime_entry(void)
{
    __asm__("mov %rsp, %rdi\n\t"
            "call wherry_sealed_self_early\n\t"
            "xor %edx, %edx\n\t" /* as the kernel hands it over: no function to be called at exit */
            "jmp _start");
}
#endif

int main(int argc, char **argv)
{
    return wherry_cli_main(argc, argv);
}
