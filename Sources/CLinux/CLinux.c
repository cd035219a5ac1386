#define _GNU_SOURCE
#include "include/CLinux.h"

#include <sys/timex.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

void crosscut_set_thread_name(const char *name) {
  char kept[16];
  strncpy(kept, name, sizeof kept - 1);
  kept[sizeof kept - 1] = 0;
  pthread_setname_np(pthread_self(), kept);
}

int crosscut_pin_thread_to_core(int core) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(core, &set);
  int failed = pthread_setaffinity_np(pthread_self(), sizeof set, &set);
  if (failed) { errno = failed; return -1; }
  return 0;
}

int crosscut_set_parent_death_signal(int signal) { return prctl(PR_SET_PDEATHSIG, signal); }

int crosscut_lock(int file) {
  const struct timespec pause = {0, 10 * 1000 * 1000};
  for (int tries = 0; flock(file, LOCK_EX | LOCK_NB) != 0; tries++) {
    if (errno == EINTR) continue;
    if (errno != EWOULDBLOCK || tries == 50) return -1;
    nanosleep(&pause, NULL);
  }
  return 0;
}

int crosscut_eventfd(void) { return eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC); }

int crosscut_signalfd(const int *signals, int count) {
  sigset_t set;
  sigemptyset(&set);
  for (int i = 0; i < count; i++) sigaddset(&set, signals[i]);
  if (pthread_sigmask(SIG_BLOCK, &set, NULL) != 0) return -1;
  return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

int crosscut_is_ignored(int signal) {
  struct sigaction set;
  return sigaction(signal, NULL, &set) == 0 && !(set.sa_flags & SA_SIGINFO) && set.sa_handler == SIG_IGN;
}

int crosscut_signalfd_read(int fd) {
  struct signalfd_siginfo info;
  ssize_t n;
  do { n = read(fd, &info, sizeof info); } while (n < 0 && errno == EINTR);
  return n == (ssize_t)sizeof info ? (int)info.ssi_signo : 0;
}

int crosscut_terminal_columns(int fd) {
  struct winsize size;
  if (ioctl(fd, TIOCGWINSZ, &size) != 0) return 0;
  return size.ws_col;
}

int crosscut_wait_exited(int status) { return WIFEXITED(status); }
int crosscut_wait_exit_status(int status) { return WEXITSTATUS(status); }
int crosscut_wait_signaled(int status) { return WIFSIGNALED(status); }
int crosscut_wait_term_signal(int status) { return WTERMSIG(status); }

uint64_t crosscut_resident_bytes(void) {
  FILE *file = fopen("/proc/self/statm", "re");
  if (!file) return 0;
  unsigned long long total = 0, resident = 0;
  int got = fscanf(file, "%llu %llu", &total, &resident);
  fclose(file);
  return got == 2 ? resident * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

int crosscut_exchange_names(const char *one, const char *other) {
  return renameat2(AT_FDCWD, one, AT_FDCWD, other, RENAME_EXCHANGE);
}

int crosscut_reserve(int file, uint64_t bytes) {
  while (fallocate(file, 0, 0, (off_t)bytes) != 0) {
    if (errno == EINTR) continue;
    return errno == EOPNOTSUPP || errno == ENOSYS ? 0 : -1;
  }
  return 0;
}

int crosscut_clock_is_synchronised(void) {
  struct timex state = {0};
  return adjtimex(&state) >= 0 && !(state.status & STA_UNSYNC);
}

int crosscut_stop_self(unsigned milliseconds) {
  pid_t self = getpid();
  pid_t child = fork();
  if (child < 0) return -1;
  if (child == 0) {
    /* Only what is safe between fork and exec in a process with threads. The connections must not
       outlive the parent through this child. */
    syscall(SYS_close_range, 0u, ~0u, 0u);
    struct timespec left = {milliseconds / 1000, (long)(milliseconds % 1000) * 1000000};
    while (nanosleep(&left, &left) != 0) {}
    if (getppid() == self) kill(self, SIGCONT);
    _exit(0);
  }
  kill(self, SIGSTOP);
  while (waitpid(child, NULL, 0) < 0 && errno == EINTR) {}
  return 0;
}
