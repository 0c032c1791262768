/*
 * SQLite: where the pages that it keeps lie in memory.
 *
 * Each is a piece of 4,360 bytes, and malloc gives every thread a heap of its
 * own, which grows page by page: two calls of the kernel and a fault for each,
 * more than reading it takes. Here they are cut from one room, which is entered
 * in larger steps; it holds all that db_sqlite_file.c lets SQLite keep, twice.
 * What does not fit, in size or number, goes where it always went.
 */
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>

#include "meta/db_sqlite_int.h"

#define PAGES_MIN 4096 /* bytes of a page alone... */
#define PAGES_SLOT 4416 /* ...and with what SQLite keeps beside it */
#define PAGES_ROOM ((size_t)128 << 20)
#define PAGES_STEP ((size_t)256 << 10)

/* SQLite knows one allocator, without a context. */
static struct {
	pthread_mutex_t lock; /* guards next, entered and spare */
	uint8_t *room;
	size_t next; /* bytes of the room given away so far */
	size_t entered; /* bytes of it that are memory */
	void *spare; /* slots given back; each begins with the next one */
	sqlite3_mem_methods usual;
} pages = {.lock = PTHREAD_MUTEX_INITIALIZER};

static bool pages_inside(const void *p)
{
	return (uintptr_t)p - (uintptr_t)pages.room < PAGES_ROOM;
}

/* A slot not used before, or NULL. */
static void *pages_cut(void)
{
	void *const p = pages.room + pages.next;

	if (PAGES_ROOM - pages.next < PAGES_SLOT)
		return NULL;
	pages.next += PAGES_SLOT;
	if (pages.next > pages.entered) {
		/* An older kernel refuses: they come one by one then. */
		(void)madvise(pages.room + pages.entered, PAGES_STEP,
			MADV_POPULATE_WRITE);
		pages.entered += PAGES_STEP;
	}
	return p;
}

static void *pages_malloc(int n)
{
	void *p;

	if (n <= PAGES_MIN || n > PAGES_SLOT)
		return pages.usual.xMalloc(n);
	(void)pthread_mutex_lock(&pages.lock);
	p = pages.spare;
	if (p)
		memcpy(&pages.spare, p, sizeof(pages.spare));
	else
		p = pages_cut();
	(void)pthread_mutex_unlock(&pages.lock);
	return p ? p : pages.usual.xMalloc(n);
}

static void pages_free(void *p)
{
	if (!pages_inside(p)) {
		pages.usual.xFree(p);
		return;
	}
	(void)pthread_mutex_lock(&pages.lock);
	memcpy(p, &pages.spare, sizeof(pages.spare));
	pages.spare = p;
	(void)pthread_mutex_unlock(&pages.lock);
}

static void *pages_realloc(void *p, int n)
{
	void *to;

	if (!pages_inside(p))
		return pages.usual.xRealloc(p, n);
	if (n <= PAGES_SLOT)
		return p;
	to = pages.usual.xMalloc(n);
	if (!to)
		return NULL;
	memcpy(to, p, PAGES_SLOT);
	pages_free(p);
	return to;
}

static int pages_size(void *p)
{
	return pages_inside(p) ? PAGES_SLOT : pages.usual.xSize(p);
}

/* Failing is fine, also because somebody has used SQLite before. */
static void pages_once(void)
{
	sqlite3_mem_methods m;
	void *room;

	if (sqlite3_config(SQLITE_CONFIG_GETMALLOC, &pages.usual) != SQLITE_OK)
		return;
	room = mmap(NULL, PAGES_ROOM, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (room == MAP_FAILED)
		return;
	pages.room = room;
	m = pages.usual;
	m.xMalloc = pages_malloc;
	m.xFree = pages_free;
	m.xRealloc = pages_realloc;
	m.xSize = pages_size;
	if (sqlite3_config(SQLITE_CONFIG_MALLOC, &m) != SQLITE_OK)
		(void)munmap(room, PAGES_ROOM);
	/* Nobody asks for the sums, for which every call takes a lock. */
	(void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

void db_sqlite_pages_prepare(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	(void)pthread_once(&once, pages_once);
}
