#include "model_panel.h"

#include <QDir>
#include <QFileDialog>
#include <QFrame>
#include <QHBoxLayout>
#include <QJsonDocument>
#include <QJsonObject>
#include <QLocale>
#include <QVBoxLayout>

namespace {

QLabel* label(const QString& text, const char* name) {
  auto* made = new QLabel(text);
  made->setObjectName(name);
  return made;
}

QString bytes(double n) {
  return n >= 1e9 ? QString::number(n / 1e9, 'f', 1) + " GB"
                  : QString::number(n / 1e6, 'f', 0) + " MB";
}

QString coloured(const QColor& colour, const QString& text) {
  return QString("<span style='color:%1'>&#9679;</span> %2").arg(colour.name(), text);
}

}  // namespace

ModelPanel::ModelPanel(QWidget* parent) : QWidget(parent) {
  setObjectName("sidebar");
  setAttribute(Qt::WA_StyledBackground);
  setFixedWidth(290);
  list_ = new QListWidget;
  list_->setObjectName("models");
  list_->setTextElideMode(Qt::ElideMiddle);
  list_->setHorizontalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
  auto* other = new QPushButton("Open another file…");
  auto* card = new QFrame;
  card->setObjectName("card");
  facts_ = label("", "muted");
  facts_->setWordWrap(true);
  bar_ = new MemoryBar;
  legend_ = label("", "muted");
  verdict_ = label("", "muted");
  verdict_->setWordWrap(true);
  context_ = new QComboBox;
  for (const int size : {2048, 4096, 8192, 16384, 32768}) {
    context_->addItem(QString("%1k tokens").arg(size / 1024), size);
  }
  context_->setCurrentIndex(1);
  auto* arrow = label("▾", "muted");
  arrow->setAttribute(Qt::WA_TransparentForMouseEvents);
  auto* over = new QHBoxLayout(context_);
  over->setContentsMargins(0, 0, 10, 0);
  over->addWidget(arrow, 0, Qt::AlignRight);
  open_ = new QPushButton("Open model");
  open_->setObjectName("send");
  progress_ = new QProgressBar;
  progress_->setTextVisible(false);
  progress_->hide();
  theme_ = new QPushButton("Dark");
  theme_->setObjectName("flat");
  theme_->setCheckable(true);

  auto* row = new QHBoxLayout;
  row->addWidget(label("Context", "muted"));
  row->addStretch();
  row->addWidget(context_);
  auto* inside = new QVBoxLayout(card);
  inside->setContentsMargins(14, 12, 14, 14);
  inside->setSpacing(8);
  inside->addWidget(label("MEMORY PLAN", "heading"));
  inside->addWidget(facts_);
  inside->addWidget(bar_);
  inside->addWidget(legend_);
  inside->addLayout(row);
  inside->addWidget(verdict_);
  inside->addWidget(progress_);
  inside->addWidget(open_);

  auto* column = new QVBoxLayout(this);
  column->setContentsMargins(16, 18, 16, 12);
  column->setSpacing(10);
  column->addWidget(label("nibble chat", "title"));
  column->addWidget(label("MODELS", "heading"));
  column->addWidget(list_, 1);
  column->addWidget(other);
  column->addWidget(card);
  auto* bottom = new QHBoxLayout;
  bottom->addWidget(label(QString("nibble ") + nibble::version() + " · on this computer", "muted"));
  bottom->addStretch();
  bottom->addWidget(theme_);
  column->addLayout(bottom);

  connect(other, &QPushButton::clicked, this, &ModelPanel::pick_file);
  connect(list_, &QListWidget::currentRowChanged, this, &ModelPanel::show_plan);
  connect(list_, &QListWidget::itemDoubleClicked, open_, &QPushButton::click);
  connect(context_, &QComboBox::currentIndexChanged, this, &ModelPanel::show_plan);
  connect(open_, &QPushButton::clicked, this, [this] { emit open_asked(path(), context_size()); });
  connect(theme_, &QPushButton::toggled, this, &ModelPanel::theme_asked);
}

void ModelPanel::add_folder(const QString& folder) {
  const QDir dir(folder);
  for (const QFileInfo& file : dir.entryInfoList({"*.gguf"}, QDir::Files, QDir::Name)) {
    auto* item = new QListWidgetItem(file.completeBaseName());
    item->setData(Qt::UserRole, file.absoluteFilePath());
    item->setSizeHint(QSize(0, 38));
    item->setToolTip(file.absoluteFilePath());
    list_->addItem(item);
  }
  if (list_->currentRow() < 0) list_->setCurrentRow(0);
}

void ModelPanel::select(const QString& path) {
  const QString whole = QFileInfo(path).absoluteFilePath();
  for (int i = 0; i < list_->count(); ++i) {
    if (list_->item(i)->data(Qt::UserRole).toString() == whole) {
      list_->setCurrentRow(i);
      return;
    }
  }
  auto* item = new QListWidgetItem(QFileInfo(path).completeBaseName());
  item->setData(Qt::UserRole, whole);
  list_->addItem(item);
  list_->setCurrentItem(item);
}

void ModelPanel::pick_file() {
  const QString path = QFileDialog::getOpenFileName(this, "Open a model", QDir::homePath(),
                                                    "Model files (*.gguf *.gguf.zst)");
  if (!path.isEmpty()) select(path);
}

QString ModelPanel::path() const {
  return list_->currentItem() != nullptr ? list_->currentItem()->data(Qt::UserRole).toString() : "";
}

int ModelPanel::context_size() const {
  return context_->currentData().toInt();
}

void ModelPanel::set_theme(const Theme& theme) {
  colours_ = theme;
  bar_->set_theme(theme);
  theme_->setText(theme.dark ? "☀ Light" : "☾ Dark");
  show_plan();
}

void ModelPanel::show_progress(int percent) {
  progress_->setVisible(percent >= 0);
  progress_->setValue(percent);
  open_->setEnabled(percent < 0);
}

void ModelPanel::show_opened(const QString& path) {
  opened_ = path;
  show_plan();
}

void ModelPanel::show_plan() {
  open_->setEnabled(false);
  open_->setText(path() == opened_ && !opened_.isEmpty() ? "Open again" : "Open model");
  if (path().isEmpty()) {
    facts_->setText("No model is here yet.");
    return;
  }
  try {
    const std::string json =
        nibble::inspect(env_, path().toStdString(), {{"ctx-size", std::to_string(context_size())}});
    const QJsonObject about = QJsonDocument::fromJson(QByteArray::fromStdString(json)).object();
    const QJsonObject plan = about["memory_plan"].toObject();
    const double weights = plan["weights"].toDouble(), talk = plan["kv"].toDouble();
    const double scratch = plan["scratch"].toDouble(), left = plan["available"].toDouble(-1);
    const bool runs = about["runs"].toBool(), fits = plan["fits"].toBool();
    facts_->setText(QString("<b style='color:%1'>%2</b><br>%3 · %4 M parameters · %5")
                        .arg(colours_.text.name(), about["name"].toString().toHtmlEscaped(),
                             about["architecture"].toString().toHtmlEscaped())
                        .arg(about["parameters"].toDouble() / 1e6, 0, 'f', 0)
                        .arg(bytes(about["bytes"].toDouble())));
    bar_->show_plan(weights, talk, scratch, left);
    legend_->setText(coloured(colours_.weights, "weights " + bytes(weights)) + "<br>" +
                     coloured(colours_.talk, "conversation, when full " + bytes(talk)) + "<br>" +
                     coloured(colours_.scratch, "scratch " + bytes(scratch)));
    verdict_->setObjectName(runs && fits ? "muted" : "problem");
    verdict_->setStyleSheet(runs && fits ? "" : "color: #d64545");
    verdict_->setText(
        !runs ? about["problem"].toString()
        : fits
            ? QString("Fits: %1 of %2 that are free.")
                  .arg(bytes(weights + talk + scratch), bytes(left))
            : QString("Needs %1; %2 are free.").arg(bytes(weights + talk + scratch), bytes(left)));
    open_->setEnabled(runs && fits);
  } catch (const nibble::Error& error) {
    facts_->setText(QString("<b>%1</b>").arg(QFileInfo(path()).fileName().toHtmlEscaped()));
    legend_->clear();
    bar_->show_plan(0, 0, 0, 0);
    verdict_->setStyleSheet("color: #d64545");
    verdict_->setText(error.what());
  }
}
