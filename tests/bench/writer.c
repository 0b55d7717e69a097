/* Waits until the file /go is there, then writes 1 MB/s in lines of 100 bytes, each with a write of its own: a hundred
 * lines every ten milliseconds. */
#include <string.h>
#include <time.h>
#include <unistd.h>

int main(void)
{
    const struct timespec look = {.tv_nsec = 50000000};
    struct timespec due;
    char line[100];

    memset(line, 'x', sizeof(line));
    line[sizeof(line) - 1] = '\n';
    while (access("/go", F_OK) < 0)
        nanosleep(&look, NULL);
    clock_gettime(CLOCK_MONOTONIC, &due);
    for (;;) {
        for (int i = 0; i < 100; i++)
            if (write(STDOUT_FILENO, line, sizeof(line)) < 0)
                return 1;
        due.tv_nsec += 10000000;
        due.tv_sec += due.tv_nsec / 1000000000;
        due.tv_nsec %= 1000000000;
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL);
    }
}
