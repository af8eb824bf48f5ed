package atomicfile

const openFlags = 0
