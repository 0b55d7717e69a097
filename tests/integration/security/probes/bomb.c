/* Makes processes that make processes, for ever, and without a moment's work of their own. */
#include <unistd.h>

int main(void)
{
    for (;;) {
        (void)!fork();
        usleep(1000);
    }
}
