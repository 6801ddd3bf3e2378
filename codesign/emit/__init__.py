"""Text for tools: {path: content} from a graph and a plan; nothing here writes a file or runs a program."""
