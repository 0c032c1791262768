/*
 * modelrun_own.c - sequences that nobody has to draw: each has been the one
 * that a rule of modelrun_crash.c was missing for.
 */
#include <fcntl.h>

#include "tests/system/modelrun_run.h"

/*
 * Synced, cut, and written again; then msync() has the kernel write a page
 * that lies behind the others. When the daemon dies the file may be as long as
 * that page wants it, and zero before it, where it once was synced.
 */
static const struct model_op own_cut[] = {
	{.kind = MODEL_OPEN, .p = 1, .mode = 0644, .flags = O_RDWR | O_CREAT},
	{.kind = MODEL_PWRITE, .off = 0, .len = 100000, .tag = 1},
	{.kind = MODEL_FSYNC},
	{.kind = MODEL_FTRUNCATE, .off = 0},
	{.kind = MODEL_PWRITE, .off = 0, .len = 3000, .tag = 2},
	{.kind = MODEL_PWRITE, .off = 60000, .len = 700, .tag = 3},
	{.kind = MODEL_MAPWRITE,
		.off = 25000,
		.len = 300,
		.tag = 5,
		.flags = 2},
	{.kind = MODEL_KILL},
};

size_t model_own_cut(const struct model_op **ret)
{
	*ret = own_cut;
	return sizeof(own_cut) / sizeof(own_cut[0]);
}
