#!/usr/bin/env python3
"""sizes.py ROOT - lengths of files and functions, width, nesting, parameters.

Relies on the house's layout: a function's braces stand in the first column.
"""
import pathlib
import re
import sys

LINES = {'.c': 500, '.h': 200}
FUNCTION, COLUMNS, NESTING, PARAMETERS = 60, 80, 3, 7
ROOMS = ['base', 'chunker', 'backends', 'meta', 'fs', 'tools', 'bench',
         'tests']
CONTROL = re.compile(r'(\t*)(?:\} )?(if|for|while|do|switch|else)\b')


class Judge:
    def __init__(self):
        self.files = self.functions = self.wrong = 0

    def bad(self, where, line, why):
        print(f'{where}:{line}: {why}')
        self.wrong += 1


def parameters(signature):
    """Commas at the first depth of the last list of parameters, plus one."""
    depth = count = 0
    for c in signature[signature.find('('):]:
        depth += (c == '(') - (c == ')')
        count += c == ',' and depth == 1
    return count + 1


def signature(lines, at):
    first = at
    while first > 0 and lines[first - 1] and lines[first - 1][0] not in '}/#*':
        first -= 1
    return ' '.join(lines[first:at])


def function(judge, name, lines, at, end):
    head = signature(lines, at)
    judge.functions += 1
    # libfuse says what it calls its operations with
    foreign = name.startswith('fs/fuse') and '(fuse_req_t req, ' in head
    if parameters(head) > PARAMETERS and not foreign:
        judge.bad(name, at, f'{parameters(head)} parameters, {PARAMETERS} '
                  'are allowed')
    # the main of a test is a table of its cases
    table = name.startswith('tests/') and ' main(' in head
    if end - at + 1 > FUNCTION and not table:
        judge.bad(name, at, f'a function of {end - at + 1} lines, {FUNCTION} '
                  'are allowed')
    for i in range(at, end):
        found = CONTROL.match(lines[i])
        if found and len(found[1]) > NESTING:
            judge.bad(name, i + 1, f'nested {len(found[1])} deep, {NESTING} '
                      'are allowed')


def file(judge, name, suffix, text):
    lines = text.splitlines()
    judge.files += 1
    if len(lines) > LINES[suffix]:
        judge.bad(name, len(lines), f'{len(lines)} lines, {LINES[suffix]} '
                  'are allowed')
    start = None
    for i, line in enumerate(lines):
        if len(line.expandtabs(8)) > COLUMNS:
            judge.bad(name, i + 1, f'{len(line.expandtabs(8))} columns')
        if line.rstrip() != line:
            judge.bad(name, i + 1, 'blanks at the end of the line')
        if line == '{':
            start = i
        elif line == '}' and start is not None:
            function(judge, name, lines, start, i)
            start = None


def main(root):
    judge = Judge()
    for room in ROOMS:
        for path in sorted((root / room).rglob('*.[ch]')):
            file(judge, str(path.relative_to(root)), path.suffix,
                 path.read_text(encoding='utf-8'))
    print(f'sizes: {judge.files} files, {judge.functions} functions, '
          f'{judge.wrong} wrong')
    return judge.wrong > 0 or judge.files < 20 or judge.functions < 100


sys.exit(main(pathlib.Path(sys.argv[1])))
