/*
 * tools/cmd.h - the verbs, one file each: argv[0] is the verb. Each returns
 * the exit status: 0, or 1 for a failure that has been told; status, plan and
 * fsck say more (see their --help).
 */
#ifndef PLURI_TOOLS_CMD_H
#define PLURI_TOOLS_CMD_H

int cmd_create(int argc, char **argv);
int cmd_mount(int argc, char **argv);
int cmd_umount(int argc, char **argv);
int cmd_status(int argc, char **argv);
int cmd_stats(int argc, char **argv);
int cmd_where(int argc, char **argv);
int cmd_sync(int argc, char **argv);
int cmd_probe(int argc, char **argv);
int cmd_policy(int argc, char **argv);
int cmd_cache(int argc, char **argv);
int cmd_plan(int argc, char **argv);
int cmd_apply(int argc, char **argv);
int cmd_rebalance(int argc, char **argv);
int cmd_drain(int argc, char **argv);
int cmd_jobs(int argc, char **argv);
int cmd_fsck(int argc, char **argv);

/* Called as mount.fuse.pluri by mount(8): SPEC DIR [-sfnv] [-o OPTIONS]. */
int cmd_mount_helper(int argc, char **argv);

#endif
