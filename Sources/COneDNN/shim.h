#pragma once
#include <dnnl.h>
#include <dnnl_debug.h>

/* libgomp: OpenMP threads of the calling thread's own team. Debian's oneDNN is built over it. */
void omp_set_num_threads(int count);
int omp_get_max_threads(void);
int omp_get_num_threads(void);
int omp_get_thread_num(void);
/* What the compiler makes of `#pragma omp parallel`: every thread of the team calls body once. */
void GOMP_parallel(void (*body)(void *), void *data, unsigned threads, unsigned flags);

/* DNNL_MEMORY_ALLOCATE is a cast macro, which Swift does not import. */
static inline void *crosscut_dnnl_memory_allocate(void) { return DNNL_MEMORY_ALLOCATE; }
