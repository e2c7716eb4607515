/* The system's clock as a test sets it: nanoseconds since 1970, eight bytes of the file that STEPPED_CLOCK names.
   Preloaded into the program under test. Other clocks, by which it waits, go on as they are. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const int64_t *now;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("STEPPED_CLOCK");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *mapped = file < 0 ? MAP_FAILED : mmap(NULL, sizeof *now, PROT_READ, MAP_SHARED, file, 0);
    if (mapped == MAP_FAILED)
        _exit(99);
    close(file);
    now = mapped;
}

/* Whole, whichever thread asks while a test writes. */
static struct timespec told(void) {
    int64_t at = now ? __atomic_load_n(now, __ATOMIC_SEQ_CST) : 0;
    return (struct timespec){at / 1000000000, at % 1000000000};
}

int clock_gettime(clockid_t clock, struct timespec *at) {
    if (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE)
        return (int)syscall(SYS_clock_gettime, clock, at);
    *at = told();
    return 0;
}

int gettimeofday(struct timeval *restrict at, void *restrict zone) {
    (void)zone;
    struct timespec is = told();
    *at = (struct timeval){is.tv_sec, is.tv_nsec / 1000};
    return 0;
}

time_t time(time_t *at) {
    struct timespec is = told();
    if (at)
        *at = is.tv_sec;
    return is.tv_sec;
}
