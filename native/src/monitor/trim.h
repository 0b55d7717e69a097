/* Giving back memory that only the start needed: a monitor sleeps for most of its life, and there are many. */
#pragma once

/* Drops the pages of the program's text and constants, of the free heap and of the dead stack. What is needed again
 * comes back from the page cache. */
void trim_memory(void);
