#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/bdi.h"

/* "ID PARENT MAJOR:MINOR ROOT DIR ..." */
static bool bdi_is(const char *line, const char *dir, unsigned *ret_major,
	unsigned *ret_minor)
{
	const size_t len = strlen(dir);
	unsigned device[2];
	int at = 0;

	if (sscanf(line, "%*u %*u %u:%u %*s %n", &device[0], &device[1], &at) <
			2 ||
		at == 0 || strncmp(line + at, dir, len) != 0 ||
		line[(size_t)at + len] != ' ')
		return false;
	*ret_major = device[0];
	*ret_minor = device[1];
	return true;
}

/* The last one at dir, which hides those before it. */
static bool bdi_find(const char *dir, unsigned *ret_major, unsigned *ret_minor)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char *line = NULL;
	size_t cap = 0;
	bool found = false;

	if (!f)
		return false;
	while (getline(&line, &cap, f) > 0)
		found |= bdi_is(line, dir, ret_major, ret_minor);
	free(line);
	(void)fclose(f);
	return found;
}

int bdi_ahead(const char *dir, unsigned kib)
{
	unsigned major = 0;
	unsigned minor = 0;
	char path[64];
	char text[16] = "";
	ssize_t n;
	int fd;
	int r = 0;

	if (!bdi_find(dir, &major, &minor))
		return -ENOENT;
	(void)snprintf(path, sizeof(path), "/sys/class/bdi/%u:%u/read_ahead_kb",
		major, minor);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = read(fd, text, sizeof(text) - 1);
	if (n > 0 && strtoul(text, NULL, 10) < kib) {
		const int len = snprintf(text, sizeof(text), "%u", kib);

		if (pwrite(fd, text, (size_t)len, 0) != len)
			r = errno ? -errno : -EIO;
	}
	(void)close(fd);
	return n < 0 ? -EIO : r;
}
