#pragma once
#include <dnnl.h>
#include <dnnl_debug.h>

/* libgomp: OpenMP threads of the calling thread's own team. Debian's oneDNN is built over it. */
void omp_set_num_threads(int count);
int omp_get_max_threads(void);

/* DNNL_MEMORY_ALLOCATE is a cast macro, which Swift does not import. */
static inline void *crosscut_dnnl_memory_allocate(void) { return DNNL_MEMORY_ALLOCATE; }
