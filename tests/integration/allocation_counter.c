// Counts every allocation of a process that is started with this library preloaded.
// cc -shared -fPIC -O2 -o allocation_counter.so allocation_counter.c
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>

void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);
void *__libc_memalign(size_t, size_t);

static atomic_long count;

long phoneproof_allocations(void) { return atomic_load(&count); }

static void one(void) { atomic_fetch_add_explicit(&count, 1, memory_order_relaxed); }

void *malloc(size_t size) {
  one();
  return __libc_malloc(size);
}

void *calloc(size_t number, size_t size) {
  one();
  return __libc_calloc(number, size);
}

void *realloc(void *memory, size_t size) {
  one();
  return __libc_realloc(memory, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
  one();
  return __libc_memalign(alignment, size);
}

void *memalign(size_t alignment, size_t size) {
  one();
  return __libc_memalign(alignment, size);
}

int posix_memalign(void **memory, size_t alignment, size_t size) {
  one();
  *memory = __libc_memalign(alignment, size);
  return *memory == NULL ? ENOMEM : 0;
}
