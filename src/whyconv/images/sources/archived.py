"""An archive as the folder that it would be: what lies where, and where its pictures are read from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from whyconv.images.sources.archives import Archive, Members
from whyconv.images.sources.candidates import files_to_lay_out, folder_around
from whyconv.images.sources.kept import kept_of
from whyconv.images.sources.laid_out import lay_out
from whyconv.images.sources.listing import FileContents, Pictures
from whyconv.images.sources.shape import shape_of
from whyconv.images.sources.table_rows import Shelf
from whyconv.images.sources.walk import Tree, tree_of


@dataclass(frozen=True, eq=False)
class ArchivedTree:
    """What lies in an archive.

    Attributes:
        members: Of the archive.
        tree: Its files; those that have to lie on disk to be read do so below ``tree.root``.
        prefix: What the names in ``tree`` lack: "", or the one folder around everything, with a final ``/``.
        shelf: Where the pictures lie that its tables name.
    """

    members: Members
    tree: Tree
    prefix: str
    shelf: Shelf

    @property
    def around(self) -> str:
        """The folder that was packed, with a final ``/``, where all of ``tree`` lies in it; else ""."""
        return "" if self.prefix else folder_around(self.tree)

    def within(self, pictures: Pictures) -> Pictures:
        """Returns pictures that were read as files of a folder, as members of the archive."""
        if not isinstance(pictures.contents, FileContents):
            return pictures  # which lie in a file that was laid out
        contents = Archive(self.members).pictures(pictures.contents.paths, self.prefix)
        return replace(pictures, contents=contents)


def archived_tree(members: Members, layout: str, store: Path | None) -> ArchivedTree:
    """Sorts what lies in an archive, and lays out what has to lie on disk to be read.

    One folder around tables or arrays, as packing a folder makes it, is looked through: an archive has no name for
    what lies inside.

    Args:
        members: Of the archive.
        layout: The reading that was asked for, or "auto".
        store: The cache; None is the default one.

    Raises:
        DataError: What has to be laid out is damaged or too much.
        StorageError: The disk does not take it.
    """
    tree = tree_of(str(members.path), members.names)
    prefix = "" if shape_of(tree.files).base else folder_around(tree)
    inner = tree_of(tree.root, [name.removeprefix(prefix) for name in members.names])
    if not files_to_lay_out(inner, layout):
        prefix, inner = "", tree
    if wanted := files_to_lay_out(inner, layout):
        folder = lay_out(members, [prefix + name for name in wanted], kept_of(members.path, store))
        inner = replace(inner, root=str(folder / prefix))
    names = frozenset(name.removeprefix(prefix) for name in members.names)
    return ArchivedTree(members, inner, prefix, Shelf(Path(inner.root), names))
