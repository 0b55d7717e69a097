"""The record of images: which manifest each has, its names, and the layers that are unpacked."""

from __future__ import annotations

from dataclasses import dataclass

from wherry.state.database import Database

MIGRATIONS = [
    """
    CREATE TABLE image (
        id TEXT PRIMARY KEY,
        manifest_digest TEXT NOT NULL,
        manifest_type TEXT NOT NULL,
        manifest_size INTEGER NOT NULL,
        recorded_at REAL NOT NULL
    );
    CREATE TABLE image_tag (
        repository TEXT NOT NULL,
        tag TEXT NOT NULL,
        image_id TEXT NOT NULL REFERENCES image (id),
        tagged_at REAL NOT NULL,
        PRIMARY KEY (repository, tag)
    );
    CREATE TABLE image_digest (
        repository TEXT NOT NULL,
        digest TEXT NOT NULL,
        image_id TEXT NOT NULL REFERENCES image (id),
        PRIMARY KEY (repository, digest)
    );
    CREATE TABLE image_layer (
        chain_id TEXT PRIMARY KEY,
        diff_id TEXT NOT NULL,
        size INTEGER NOT NULL,
        boot_id TEXT NOT NULL,
        settled INTEGER NOT NULL DEFAULT 0
    );
    """,
    "ALTER TABLE image ADD COLUMN parent TEXT NOT NULL DEFAULT ''",
]


@dataclass(frozen=True)
class ImageRow:
    """An image: its configuration's digest is its ID; ``recorded_at`` is in seconds since the epoch.

    ``parent`` is the ID of the image that it was made from on this host, or "".
    """

    id: str
    manifest_digest: str
    manifest_type: str
    manifest_size: int
    recorded_at: float
    parent: str = ""


@dataclass(frozen=True)
class TagRow:
    """``repository:tag`` names the image. ``repository`` is the normalised one."""

    repository: str
    tag: str
    image_id: str
    tagged_at: float


@dataclass(frozen=True)
class DigestRow:
    """``repository@digest`` names the image: it was pulled from or pushed to there under that digest."""

    repository: str
    digest: str
    image_id: str


@dataclass(frozen=True)
class LayerRow:
    """An unpacked layer. Until ``settled`` it may be lost by a power cut in the boot that ``boot_id`` names."""

    chain_id: str
    diff_id: str
    size: int
    boot_id: str
    settled: bool


class ImageTable:
    """Typed reads and writes of the four tables."""

    def __init__(self, database: Database) -> None:
        self._database = database
        database.migrate("images", MIGRATIONS)

    def images(self) -> list[ImageRow]:
        """All images, oldest record first."""
        rows = self._database.execute(
            "SELECT id, manifest_digest, manifest_type, manifest_size, recorded_at, parent FROM image"
            " ORDER BY recorded_at, id",
            (),
        )
        return [ImageRow(*row) for row in rows]

    def tags(self) -> list[TagRow]:
        """All tags, by name."""
        rows = self._database.execute(
            "SELECT repository, tag, image_id, tagged_at FROM image_tag ORDER BY repository, tag", ()
        )
        return [TagRow(*row) for row in rows]

    def digests(self) -> list[DigestRow]:
        """All digests, by name."""
        rows = self._database.execute(
            "SELECT repository, digest, image_id FROM image_digest ORDER BY repository, digest", ()
        )
        return [DigestRow(*row) for row in rows]

    def layers(self) -> list[LayerRow]:
        """All unpacked layers."""
        rows = self._database.execute("SELECT chain_id, diff_id, size, boot_id, settled FROM image_layer", ())
        return [LayerRow(row[0], row[1], row[2], row[3], bool(row[4])) for row in rows]

    def record(self, image: ImageRow, tags: list[TagRow], digests: list[DigestRow]) -> None:
        """Writes an image with names of it, in one transaction; names move here from other images."""
        with self._database.transaction():
            self._database.execute(
                "INSERT INTO image (id, manifest_digest, manifest_type, manifest_size, recorded_at, parent)"
                " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET"
                " manifest_digest = excluded.manifest_digest, manifest_type = excluded.manifest_type,"
                " manifest_size = excluded.manifest_size",
                (
                    image.id,
                    image.manifest_digest,
                    image.manifest_type,
                    image.manifest_size,
                    image.recorded_at,
                    image.parent,
                ),
            )
            for tag in tags:
                self.set_tag(tag)
            for digest in digests:
                self.set_digest(digest)

    def set_tag(self, row: TagRow) -> None:
        """Points a tag at an image, whatever it pointed at before."""
        self._database.execute(
            "INSERT OR REPLACE INTO image_tag (repository, tag, image_id, tagged_at) VALUES (?, ?, ?, ?)",
            (row.repository, row.tag, row.image_id, row.tagged_at),
        )

    def set_digest(self, row: DigestRow) -> None:
        """Points a repository's digest at an image."""
        self._database.execute(
            "INSERT OR REPLACE INTO image_digest (repository, digest, image_id) VALUES (?, ?, ?)",
            (row.repository, row.digest, row.image_id),
        )

    def drop_names(self, tags: list[TagRow], digests: list[DigestRow]) -> None:
        """Removes names in one transaction; the image stays."""
        with self._database.transaction():
            for tag in tags:
                self._database.execute(
                    "DELETE FROM image_tag WHERE repository = ? AND tag = ?", (tag.repository, tag.tag)
                )
            for digest in digests:
                self._database.execute(
                    "DELETE FROM image_digest WHERE repository = ? AND digest = ?", (digest.repository, digest.digest)
                )

    def drop_image(self, image_id: str) -> None:
        """Removes an image and every name of it, in one transaction."""
        with self._database.transaction():
            self._database.execute("DELETE FROM image_tag WHERE image_id = ?", (image_id,))
            self._database.execute("DELETE FROM image_digest WHERE image_id = ?", (image_id,))
            self._database.execute("DELETE FROM image WHERE id = ?", (image_id,))

    def set_layer(self, row: LayerRow) -> None:
        """Records an unpacked layer."""
        self._database.execute(
            "INSERT OR REPLACE INTO image_layer (chain_id, diff_id, size, boot_id, settled) VALUES (?, ?, ?, ?, ?)",
            (row.chain_id, row.diff_id, row.size, row.boot_id, int(row.settled)),
        )

    def settle_layers(self, chain_ids: list[str]) -> None:
        """Notes that these layers have reached the disk."""
        with self._database.transaction():
            for chain_id in chain_ids:
                self._database.execute("UPDATE image_layer SET settled = 1 WHERE chain_id = ?", (chain_id,))

    def drop_layer(self, chain_id: str) -> None:
        """Forgets an unpacked layer; called before its directory is removed."""
        self._database.execute("DELETE FROM image_layer WHERE chain_id = ?", (chain_id,))
