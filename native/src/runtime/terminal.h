/* The runtime's own terminal joined to a container's, for `run` and `exec` in the foreground. */
#pragma once

#include "wherry/error.h"

#include <stdbool.h>
#include <sys/types.h>
#include <termios.h>

struct wherry_terminal {
    int receiver; /* where the container's terminal arrives; -1 */
    int sender;   /* its other end, for the launch; -1 */
    int master;   /* the container's terminal; -1 until it has arrived */
    bool raw;     /* the own terminal has been changed */
    struct termios saved;
};

#define WHERRY_TERMINAL_INIT                                                                                           \
    {                                                                                                                  \
        .receiver = -1, .sender = -1, .master = -1                                                                     \
    }

/* Makes the two ends. */
int wherry_terminal_prepare(struct wherry_terminal *terminal, struct wherry_error *err);

/* Stands in for process `pid` until it has ended: joined to its terminal when it has one (`used`), and without when it
 * has not. Returns its exit status; the terminal is left. */
int wherry_terminal_attend(struct wherry_terminal *terminal, bool used, pid_t pid, struct wherry_error *err);

/* Takes the container's terminal, gives it the size of the own one, and puts the own one into raw mode if it is one. */
int wherry_terminal_join(struct wherry_terminal *terminal, struct wherry_error *err);

/* Copies between the two until process `pid` has ended and its last output is written; passes signals on. Returns its
 * exit status as wherry_foreground_wait does. */
int wherry_terminal_relay(struct wherry_terminal *terminal, pid_t pid, struct wherry_error *err);

/* Puts the own terminal back and closes everything. */
void wherry_terminal_leave(struct wherry_terminal *terminal);
