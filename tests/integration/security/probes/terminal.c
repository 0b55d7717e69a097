/*
 * Tries to type into the terminal on its standard input (TIOCSTI), and to make it its own (TIOCSCTTY) and then type.
 * Prints "typed", "took" or nothing.
 */
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

int main(void)
{
    if (ioctl(0, TIOCSTI, "x") == 0)
        printf("typed\n");
    if (ioctl(0, TIOCSCTTY, 1) == 0)
        printf("took\n");
    if (ioctl(0, TIOCSTI, "y") == 0)
        printf("typed\n");
    return 0;
}
