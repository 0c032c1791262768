#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "conform_calls.h"

static int call_fd(int fd)
{
	return fd < 0 ? -1 : close(fd);
}

static int call_open(const char *p)
{
	return call_fd(open(p, O_RDONLY | O_NONBLOCK));
}

static int call_open_write(const char *p)
{
	return call_fd(open(p, O_WRONLY | O_NONBLOCK));
}

static int call_open_trunc(const char *p)
{
	return call_fd(open(p, O_RDWR | O_TRUNC));
}

static int call_open_path(const char *p)
{
	return call_fd(open(p, O_PATH));
}

static int call_open_nofollow(const char *p)
{
	return call_fd(open(p, O_RDONLY | O_NOFOLLOW));
}

static int call_create(const char *p)
{
	return call_fd(open(p, O_WRONLY | O_CREAT | O_EXCL, 0644));
}

static int call_mkdir(const char *p)
{
	return mkdir(p, 0755);
}

static int call_mkfifo(const char *p)
{
	return mkfifo(p, 0644);
}

static int call_mknod(const char *p)
{
	return mknod(p, S_IFREG | 0644, 0);
}

static int call_mksock(const char *p)
{
	return mknod(p, S_IFSOCK | 0644, 0);
}

static int call_symlink(const char *p)
{
	return symlink("target", p);
}

static int call_link_to(const char *p)
{
	return link("src", p);
}

static int call_rename_to(const char *p)
{
	return renameat2(AT_FDCWD, "src", AT_FDCWD, p, RENAME_NOREPLACE);
}

static int call_link_from(const char *p)
{
	const int r = link(p, "dst");

	if (r == 0)
		(void)unlink("dst");
	return r;
}

static int call_rename_from(const char *p)
{
	const int r = rename(p, "dst");

	if (r == 0)
		(void)unlink("dst");
	return r;
}

static int call_chmod(const char *p)
{
	return chmod(p, 0666);
}

static int call_chown(const char *p)
{
	return chown(p, CONFORM_KEEP, CONFORM_KEEP);
}

static int call_lchown(const char *p)
{
	return lchown(p, CONFORM_KEEP, CONFORM_KEEP);
}

static int call_truncate(const char *p)
{
	return truncate(p, 17);
}

static int call_utimes(const char *p)
{
	const struct timespec t[2] = {{1000, 1}, {2000, 2}};

	return utimensat(AT_FDCWD, p, t, 0);
}

static int call_lutimes(const char *p)
{
	const struct timespec t[2] = {{1000, 1}, {2000, 2}};

	return utimensat(AT_FDCWD, p, t, AT_SYMLINK_NOFOLLOW);
}

static int call_utimes_now(const char *p)
{
	return utimensat(AT_FDCWD, p, NULL, 0);
}

static int call_stat(const char *p)
{
	struct stat st;

	return stat(p, &st);
}

static int call_lstat(const char *p)
{
	struct stat st;

	return lstat(p, &st);
}

static int call_access(const char *p)
{
	return access(p, F_OK);
}

static int call_access_rw(const char *p)
{
	return access(p, R_OK | W_OK);
}

static int call_readlink(const char *p)
{
	char to[64];

	return readlink(p, to, sizeof(to)) < 0 ? -1 : 0;
}

static int call_statvfs(const char *p)
{
	struct statvfs st;

	return statvfs(p, &st);
}

static int call_listxattr(const char *p)
{
	return listxattr(p, NULL, 0) < 0 ? -1 : 0;
}

static int call_setxattr(const char *p)
{
	return setxattr(p, "user.conform", "v", 1, 0);
}

static int call_chdir(const char *p)
{
	const int here = open(".", O_PATH);
	const int r = chdir(p);
	const int e = errno;

	if (r == 0 && fchdir(here) < 0)
		perror("fchdir");
	(void)close(here);
	errno = e;
	return r;
}

static int call_opendir(const char *p)
{
	return call_fd(open(p, O_RDONLY | O_DIRECTORY));
}

const struct conform_call conform_calls[] = {
	{"open", call_open, CALL_FOLLOWS, CONFORM_REG},
	{"open O_WRONLY", call_open_write, CALL_FOLLOWS, CONFORM_REG},
	{"open O_TRUNC", call_open_trunc, CALL_FOLLOWS, CONFORM_REG},
	{"open O_PATH", call_open_path, CALL_FOLLOWS, CONFORM_REG},
	{"open O_NOFOLLOW", call_open_nofollow, 0, CONFORM_REG},
	{"open O_CREAT", call_create, CALL_MAKES, CONFORM_REG},
	{"mkdir", call_mkdir, CALL_MAKES, CONFORM_DIR},
	{"mkfifo", call_mkfifo, CALL_MAKES, CONFORM_FIFO},
	{"mknod", call_mknod, CALL_MAKES, CONFORM_REG},
	{"mknod socket", call_mksock, CALL_MAKES, CONFORM_SOCK},
	{"symlink", call_symlink, CALL_MAKES, CONFORM_LNK},
	{"link to", call_link_to, CALL_MAKES, CONFORM_REG},
	{"rename to", call_rename_to, CALL_MAKES, CONFORM_REG},
	{"link from", call_link_from, 0, CONFORM_REG},
	{"rename from", call_rename_from, CALL_TAKES, CONFORM_REG},
	{"unlink", unlink, CALL_TAKES, CONFORM_REG},
	{"rmdir", rmdir, CALL_TAKES, CONFORM_DIR},
	{"chmod", call_chmod, CALL_FOLLOWS, CONFORM_REG},
	{"chown", call_chown, CALL_FOLLOWS, CONFORM_REG},
	{"lchown", call_lchown, 0, CONFORM_REG},
	{"truncate", call_truncate, CALL_FOLLOWS, CONFORM_REG},
	{"utimensat", call_utimes, CALL_FOLLOWS, CONFORM_REG},
	{"utimensat nofollow", call_lutimes, 0, CONFORM_REG},
	{"utimensat now", call_utimes_now, CALL_FOLLOWS, CONFORM_REG},
	{"stat", call_stat, CALL_FOLLOWS, CONFORM_REG},
	{"lstat", call_lstat, 0, CONFORM_REG},
	{"access", call_access, CALL_FOLLOWS, CONFORM_REG},
	{"access rw", call_access_rw, CALL_FOLLOWS, CONFORM_REG},
	{"readlink", call_readlink, 0, CONFORM_LNK},
	{"statvfs", call_statvfs, CALL_FOLLOWS, CONFORM_REG},
	{"listxattr", call_listxattr, CALL_FOLLOWS, CONFORM_REG},
	{"setxattr", call_setxattr, CALL_FOLLOWS, CONFORM_REG},
	{"chdir", call_chdir, CALL_FOLLOWS, CONFORM_DIR},
	{"opendir", call_opendir, CALL_FOLLOWS, CONFORM_DIR},
	{NULL, NULL, 0, CONFORM_REG},
};

void conform_calls_src(void)
{
	if (!conform_there("src"))
		conform_make(CONFORM_REG, "src", 0666, CONFORM_OWNER);
}
