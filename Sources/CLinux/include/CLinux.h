#pragma once
/* Linux calls and macros that the Glibc module of Swift 6.3 does not show. */
#include <signal.h>
#include <stdint.h>
#include <sys/types.h>

/* Names the calling thread (at most 15 characters are kept). */
void crosscut_set_thread_name(const char *name);
/* Pins the calling thread to one core; -1 with errno on failure. */
int crosscut_pin_thread_to_core(int core);
/* Sends this process `signal` when its parent dies; -1 with errno on failure. */
int crosscut_set_parent_death_signal(int signal);
/* eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC). */
int crosscut_eventfd(void);
/* signalfd for the given signals, which are also blocked in the calling thread. */
int crosscut_signalfd(const int *signals, int count);
/* Whether this process ignores a signal: 1 or 0. */
int crosscut_is_ignored(int signal);
/* Reads one pending signal number from a signalfd; 0 when there is none. */
int crosscut_signalfd_read(int fd);
/* Columns of the terminal behind fd, or 0. */
int crosscut_terminal_columns(int fd);
/* Exit status helpers (wait macros are not imported). */
int crosscut_wait_exited(int status);
int crosscut_wait_exit_status(int status);
int crosscut_wait_signaled(int status);
int crosscut_wait_term_signal(int status);
/* ioprio/nice-free helper: resident set size of this process in bytes, from /proc/self/statm. */
uint64_t crosscut_resident_bytes(void);
/* Exchanges two names in one step; -1 with errno where the file system cannot. */
int crosscut_exchange_names(const char *one, const char *other);
/* Takes room on the disk for a file of so many bytes, where the file system can do that in advance; -1
   with errno where there is none. */
int crosscut_reserve(int file, uint64_t bytes);
/* Takes an exclusive lock of a file or folder (flock); -1 with errno, EWOULDBLOCK if another process
   has it for longer than half a second: a child that has just been forked has its parent's locks until
   it becomes another program. */
int crosscut_lock(int file);
/* Whether the system's clock is kept right from outside (NTP): 1 or 0. */
int crosscut_clock_is_synchronised(void);
/* Stops the whole calling process (SIGSTOP) for so long; a child of its own wakes it. -1 with errno
   if there can be no child: then nothing has stopped. */
int crosscut_stop_self(unsigned milliseconds);
